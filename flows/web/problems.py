"""Errors of the endpoint as problem JSON (RFC 9457), with the sentences that the shell prints."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from petseg.data.photos import UnusableError

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """Why a request was not answered as intended."""

    type: str = Field("about:blank", description="The kind of problem; always about:blank.")
    title: str = Field(description="The name of the HTTP status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, and what helps.")


class ProblemError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        """Set up the error.

        Args:
            status: the HTTP status of the answer.
            detail: what is wrong, and what helps.
            retry_after: seconds after which the same request may succeed, or None.
        """
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after

    def response(self) -> Response:
        """Return the answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return problem_response(self.status, self.detail, headers)


def problem_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer with a problem; the title is the name of its status."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    content = json.dumps(problem.model_dump(), ensure_ascii=False)
    return Response(content, status, headers, MEDIA_TYPE)


def faults(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return in one line which query parameters are wrong, and what is allowed."""
    return "; ".join(
        f"{error['loc'][-1]} is unknown"
        if error["type"] == "extra_forbidden"
        else f"{error['loc'][-1]} is {error['input']!r}: {error['msg'].lower()}"
        for error in errors
    )


def check_names(query: QueryParams) -> None:
    """Refuse a query that names a parameter twice, of which only one value could be used.

    Raises:
        ProblemError: it does; status 400.
    """
    counts = Counter(name for name, _ in query.multi_items())
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise ProblemError(400, f"{', '.join(repeated)}: given more than once; see /docs")


def add_handlers(app: FastAPI, hint: str) -> None:
    """Let an app answer every error with a problem; `hint` says where to read what is served."""

    @app.exception_handler(ProblemError)
    async def of_problem(_: Request, error: ProblemError) -> Response:
        return error.response()

    @app.exception_handler(UnusableError)
    async def of_photo(_: Request, error: UnusableError) -> Response:
        return problem_response(422, str(error))

    @app.exception_handler(RequestValidationError)
    async def of_query(_: Request, error: RequestValidationError) -> Response:
        return problem_response(400, f"{faults(error.errors())}; {hint}")

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path} is not served here; {hint}"
        return problem_response(error.status_code, detail, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def of_disconnect(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    @app.exception_handler(Exception)
    async def of_fault(_: Request, __: Exception) -> Response:
        return problem_response(500, "the server failed on this request; its log says where")
