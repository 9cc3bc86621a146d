"""Serve the page to look at labels on a port of this machine until Ctrl-C or SIGTERM."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from flows.web import server
from flows.web.labels import suspects
from flows.web.labels.app import create_app
from flows.web.labels.decisions import Decisions
from flows.web.labels.pictures import Pictures
from flows.web.limits import Limits
from petseg import git, params
from petseg.data import label_edits, raw
from petseg.errors import UserError
from petseg.inference.segmenter import Segmenter

RAW, REPORTS = Path("data/raw"), Path("reports")
MODEL = Path("data/export/model.onnx")
HOST = "127.0.0.1"  # no other machine: what the page sends changes files of this checkout


def serve(names: Sequence[str], port: int, open_browser: bool) -> None:
    """Serve the page for the photos that evaluate found suspect, or for those that are named.

    Args:
        names: the photos; without any, those of suspects.csv.
        port: the port to listen on; 0 stands for any that is free.
        open_browser: whether to open the page in a browser.

    Raises:
        UserError: there is no photo to look at, a file is missing, the table of corrections is
            faulty, or the port cannot be listened on.
    """
    photos = suspects.read_named(REPORTS, names) if names else suspects.read_suspects(REPORTS)
    if not photos:
        raise UserError(
            f"{REPORTS / 'suspects.csv'} lists no photo; `petseg labels review NAME` shows another"
        )
    table = active_table()
    decisions = Decisions(table, label_edits.FOLDER, git.or_empty("config", "user.name"))
    decisions.rows()  # a faulty table is said before the page opens
    names_and_twins = {name for photo in photos for name in (photo.name, photo.twin) if name}
    pictures = Pictures(raw.open_raw(RAW), Segmenter.load(MODEL), sorted(names_and_twins))
    app = create_app(photos, pictures, decisions)
    with server.listen(HOST, port) as listener:
        address = server.address_of(listener)
        print(address, flush=True)
        print(f"{len(photos):,} photos; decisions: {table}; Ctrl-C ends it", file=sys.stderr)
        if open_browser:
            webbrowser.open(address)
        server.run(app, listener, Limits())


def active_table() -> Path:
    """Return the table of corrections that the recipe in use names."""
    section = params.read_yaml(params.FILE).get("preprocess")
    table = section.get("labels") if isinstance(section, dict) else None
    if not isinstance(table, str):
        raise UserError(f"{params.origin()}: preprocess.labels is missing; `petseg use` writes it")
    return label_edits.locate(table, label_edits.FOLDER, params.origin())
