"""The command that serves a model to browsers and programs: try."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Model = Annotated[Path, Parameter(help="The exported model.", metavar="FILE", show_default=True)]
Host = Annotated[
    str, Parameter(help="The address to listen on; 0.0.0.0 for all.", show_default=True)
]
Port = Annotated[int, Parameter(help="The port to listen on; 0 for any.", show_default=True)]
Origins = Annotated[
    tuple[str, ...],
    Parameter(
        name="--origin",
        help="The address in browsers where it differs, as behind a reverse proxy.",
        metavar="ADDRESS",
    ),
]


def try_(
    *,
    model: Model = Path("data/export/model.onnx"),
    host: Host = "127.0.0.1",
    port: Port = 8808,
    origins: Origins = (),
) -> None:
    """Serve a page to try the model, and an endpoint for programs.

    It ends with Ctrl-C. Photos stay on this machine, and nothing is stored.
    """
    from flows.web import server
    from petseg.errors import UserError

    for origin in origins:
        if not re.fullmatch(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?", origin):
            raise UserError(
                f"--origin is {origin}; expected scheme, host and port without a path, such as "
                "https://masks.example.org"
            )
    server.serve(model, host, port, origins)
