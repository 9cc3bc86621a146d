"""The web application: the endpoint for programs, and the page to try a model."""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from flows.web import pages, problems, uploads
from flows.web.answers import Answer, MaskAnswer, Options
from flows.web.guard import Guard
from flows.web.limits import Holding, Load, busy
from flows.web.problems import MEDIA_TYPE, Problem
from flows.web.service import MaskService
from petseg.data.photos import FORMATS, MAX_PIXELS
from petseg.prediction import outputs

Result = TypeVar("Result")
PHOTO = {"type": "string", "format": "binary", "description": "The photo's file."}
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {uploads.FIELD: PHOTO},
                "required": [uploads.FIELD],
            }
        },
        "application/octet-stream": {"schema": PHOTO},
    },
}
PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
NUMBER = {"schema": {"type": "number"}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": MaskAnswer,
        "description": "The picture, or JSON with `answer=json`.",
        "content": {"image/png": PICTURE, "image/webp": PICTURE},
        "headers": {"Foreground": NUMBER, "Expected-IoU": NUMBER, "Threshold": NUMBER},
    },
    **{
        status: {
            "description": text,
            "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
        }
        for status, text in {
            400: "The query or the form is wrong.",
            403: "A page of another site sent the request.",
            408: "The upload is too slow.",
            413: "The photo has too many bytes.",
            422: "The photo cannot be used; `detail` says why.",
            503: "Too much is to be done at the moment; `Retry-After` says when to try again.",
        }.items()
    },
}


class Health(BaseModel):
    """Whether the server works, and how much it has to do."""

    status: str = Field(description="ok")
    photos: int = Field(description="How many photos are worked on or wait.")


class ServerLimits(BaseModel):
    """What the server accepts."""

    bytes: int = Field(description="Of a photo's file.")
    pixels: int = Field(description="Of a photo, by its header.")
    formats: list[str] = Field(description="Whatever the file's name says.")
    photos: int = Field(description="That are worked on or wait at the same time, for everybody.")


class ModelAnswer(BaseModel):
    """The model in use, and what the server accepts."""

    sha256: str = Field(description="Of the model's file.")
    software: str = Field(description="Name and version of this program.")
    image_size: int = Field(description="The side of the network's square input in pixels.")
    mode: str = Field(
        description="How a photo becomes that square: it is squashed, padded, or cut into tiles."
    )
    threshold: float = Field(
        description="The smallest probability with which a pixel is foreground."
    )
    border: str = Field(description="What the border in the trimaps counted as in training.")
    recipe: str = Field(description="The recipe that trained the model.")
    data_sha256: str = Field(description="Of the training data.")
    epoch: int = Field(description="The epoch of the training that the weights come from.")
    versions: dict[str, str] = Field(description="Of the libraries that trained and exported it.")
    refinement: str = Field(description="Of the masks' edges at the photo's size.")
    foreground: str = Field(description="What the masks show, in words.")
    limits: ServerLimits


class CountedResponse(Response):
    """An answer whose bytes count as in memory until the client has taken it."""

    def __init__(self, answer: Answer, load: Load) -> None:
        super().__init__(answer.content, headers=answer.headers, media_type=answer.media_type)
        self.load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; the last call of `send` waits until the client has taken the rest."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        body = {"type": "http.response.body", "body": self.body, "more_body": True}
        with Holding(self.load) as holding:
            holding.add(len(self.body))
            # The server cancels this when it ends, and does not wait for the client any longer.
            with suppress(asyncio.CancelledError):
                for message in (start, body, {"type": "http.response.body"}):
                    await send(message)


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of work that is cancelled when the client goes away.

    Raises:
        ClientDisconnect: the client has gone away.
    """
    task = asyncio.ensure_future(work)
    end = asyncio.ensure_future(request.receive())  # after the upload, nothing else can come
    try:
        await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        end.cancel()


def create_app(service: MaskService, origins: Collection[str] = ()) -> FastAPI:
    """Return the web application for a model.

    Args:
        service: what answers queries, within its limits; the caller closes it.
        origins: see `Guard`.
    """
    load, limits = service.load, service.load.limits
    app = FastAPI(
        title="petseg",
        summary="Masks of photos",
        version=outputs.software().removeprefix("petseg "),
        docs_url=None,  # FastAPI's own pages take their scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.add_handlers(app, "see /docs")
    pages.add_routes(app, service.segmenter, limits)

    @app.post(
        "/mask",
        summary="The mask of a photo",
        responses=ANSWERS,
        openapi_extra={"requestBody": BODY},
    )
    async def mask(request: Request, options: Annotated[Options, Query()]) -> Response:
        """Send a photo, as the body or in a form; get its mask, cut-out, overlay or probability."""
        problems.check_names(request.query_params)
        try:
            with Holding(load) as upload:
                data = await uploads.read_photo(request, limits, upload)
                with load.one_photo():
                    work = service.answer(data, options, limits.work_seconds)
                    answer = await unless_disconnected(request, work)
        except asyncio.CancelledError as error:  # the server ends, and has waited for long enough
            raise busy("it is about to end") from error
        return CountedResponse(answer, load)

    @app.get("/model", summary="The model, and the limits")
    async def model() -> ModelAnswer:
        """Return what the model is, and what the server accepts."""
        accepted = ServerLimits(
            bytes=limits.photo_bytes, pixels=MAX_PIXELS, formats=list(FORMATS), photos=limits.photos
        )
        return ModelAnswer(
            sha256=service.segmenter.engine.sha256,
            software=outputs.software(),
            limits=accepted,
            **asdict(service.segmenter.metadata),
        )

    @app.get("/health", summary="Whether the server works")
    async def health() -> Health:
        """Return at once, whatever the server has to do."""
        return Health(status="ok", photos=load.photos)

    app.add_middleware(Guard, origins=origins)
    return app
