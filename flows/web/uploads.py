"""The photo in a request: its body, or the one file of a form, within the limits."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from flows.web.limits import Holding, Limits
from flows.web.problems import ProblemError

FIELD = "photo"  # the name of the file in a form
FORM_BYTES = 1 << 16  # that a form may have beside its file
HINT = "send the photo as the body, or as the file `photo` of a form: curl -F photo=@cat.jpg …"


class MemoryForm(MultiPartParser):
    """A form whose file stays in memory: no photo is stored on the disk, not for a moment."""

    spool_max_size = 0  # of the file in memory; 0 stands for no limit, the stream has one


async def read_photo(request: Request, limits: Limits, holding: Holding) -> bytes:
    """Return the bytes of the photo in a request.

    Args:
        request: its body is the photo, or a form with one file named `FIELD`.
        limits: how large the photo may be, and how long its upload may take.
        holding: accounts for the bytes as they come.

    Raises:
        ProblemError: there is no photo, or the upload exceeds a limit.
        ClientDisconnect: the client has gone away.
    """
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    limit = limits.photo_bytes + (FORM_BYTES if is_form else 0)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limits)
    async with aclosing(limited_parts(request, limits, limit, holding)) as parts:
        if is_form:
            data = await read_form(request, parts)
        else:
            data = b"".join([part async for part in parts])
    if len(data) > limits.photo_bytes:
        raise too_large(limits)
    if not data:
        raise ProblemError(422, f"photo is empty; {HINT}")
    return data


def too_large(limits: Limits) -> ProblemError:
    """Return the error of an upload with too many bytes."""
    return ProblemError(413, f"photo has more than {limits.photo_bytes:,} bytes")


async def limited_parts(
    request: Request, limits: Limits, limit: int, holding: Holding
) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a body as they come.

    Raises:
        ProblemError: there are more than `limit` bytes, they come too slowly, or memory is short.
    """
    total = 0
    deadline = time.monotonic() + limits.upload_seconds
    stream = request.stream()
    while True:
        remaining = deadline - time.monotonic()
        try:
            async with asyncio.timeout(min(limits.silent_seconds, max(remaining, 0))):
                part = await anext(stream, None)
        except TimeoutError:
            raise ProblemError(408, "the upload is too slow, or stands still") from None
        if part is None:
            return
        total += len(part)
        holding.add(len(part))
        if total > limit:
            raise too_large(limits)
        holding.load.check_memory()
        yield part


async def read_form(request: Request, parts: AsyncGenerator[bytes, None]) -> bytes:
    """Return the content of the one file in a form.

    Raises:
        ProblemError: it is no form, or has no file or several.
    """
    try:
        form = await MemoryForm(request.headers, parts, max_files=1, max_fields=10).parse()
    except MultiPartException as error:
        raise ProblemError(400, f"the form cannot be read: {error.message}; {HINT}") from error
    file = form.get(FIELD)
    if not isinstance(file, UploadFile):
        raise ProblemError(400, f"the form has no file {FIELD}; {HINT}")
    data = await file.read()
    await form.close()
    return data
