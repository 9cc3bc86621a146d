"""The web application to look at labels: the page, its pictures, and the decisions it sends."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from flows.web import pages, problems
from flows.web.guard import Guard
from flows.web.labels.decisions import Decisions
from flows.web.labels.pictures import Pictures, View
from flows.web.labels.suspects import Suspect
from flows.web.problems import ProblemError, problem_response
from petseg.data.label_edits import Action, LabelEdit
from petseg.errors import UserError

PAGE = Path(__file__).parent / "page"
FILES = {  # what the page consists of, by its path on the server
    "/": (PAGE / "index.html", "text/html"),
    "/review.css": (PAGE / "review.css", "text/css"),
    "/review.js": (PAGE / "review.js", "text/javascript"),
    "/page.css": (pages.PAGE / "page.css", "text/css"),  # that of the page to try a model
    "/style.css": (pages.REPORT / "style.css", "text/css"),  # the report's
}


class Decision(BaseModel):
    """What a person decides about a photo."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=0)]  # of the photo in the list
    action: Action
    reason: Annotated[str, Field(max_length=500)]


def create_app(suspects: Sequence[Suspect], pictures: Pictures, decisions: Decisions) -> FastAPI:
    """Return the web application for a person on this machine.

    Args:
        suspects: the photos to look at.
        pictures: draws them.
        decisions: takes what the person decides.
    """
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    problems.add_handlers(app, "reload the page")

    @app.exception_handler(UserError)
    async def of_user(_: Request, error: UserError) -> Response:
        return problem_response(409, str(error))

    def suspect(number: int) -> Suspect:
        if not 0 <= number < len(suspects):
            raise ProblemError(404, f"there is no photo {number}; reload the page")
        return suspects[number]

    @app.get("/labels.json")
    def labels() -> dict[str, Any]:
        rows = decisions.rows()
        photos = [asdict(it) | {"decision": as_json(rows.get(it.name))} for it in suspects]
        return {"table": str(decisions.table), "photos": photos}

    @app.get("/photos/{number}/twin.jpg")
    def twin(number: int) -> Response:
        name = suspect(number).twin
        if not name:
            raise ProblemError(404, f"photo {number} looks like no other; reload the page")
        return Response(pictures.draw(name, View.PHOTO), media_type="image/jpeg")

    @app.get("/photos/{number}/{view}.jpg")
    def picture(number: int, view: View) -> Response:
        name = suspect(number).name
        content = pictures.draw(name, view, decisions.mask(name))
        return Response(content, media_type="image/jpeg")

    @app.post("/decisions")
    def decide(decision: Decision) -> dict[str, Any]:
        name = suspect(decision.number).name
        mask = partial(pictures.predicted_mask, name)
        row = decisions.decide(name, decision.action, decision.reason, mask)
        return {"number": decision.number, "decision": as_json(row)}

    @app.post("/undo")
    def undo() -> dict[str, Any]:
        change = decisions.undo()
        if change is None:
            raise ProblemError(409, "there is nothing to undo")
        number = [it.name for it in suspects].index(change.name)
        return {"number": number, "decision": as_json(change.row)}

    for path, (file, media_type) in FILES.items():
        pages.add_file(app, path, file.read_bytes(), media_type)
    app.add_middleware(Guard, origins=())
    return app


def as_json(row: LabelEdit | None) -> dict[str, str] | None:
    """Return a row of the table as the page takes it; None if there is none."""
    if row is None:
        return None
    return {"action": row.action_text, "reason": row.reason, "who": row.who}
