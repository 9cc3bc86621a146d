"""Fetching over a real HTTP server that behaves well, and badly in every way we know of."""

import gzip
import hashlib
import random
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from petseg.data import mirrors
from petseg.data.mirrors import Fetched, Patience, UnreachableError
from petseg.errors import UserError
from tests.bad_server import (
    Handler,
    Move,
    changing_to,
    cut,
    hang,
    ignoring_ranges,
    page,
    reset,
    serving,
    status,
    to,
    trickle,
    well,
)

CONTENT = gzip.compress(random.Random(1).randbytes(50_000), mtime=0)
OTHER = gzip.compress(random.Random(2).randbytes(50_000), mtime=0)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHOLE = sorted(["a.gz", f"{DIGEST}-a.gz"])  # what a fetch leaves
QUICK = Patience(timeout=0.4, least=1000, pauses=(0.01, 0.02, 0.03), progress=1000)


def fetch(folder: Path, *places: str, sha256: str | None = DIGEST) -> Fetched:
    """Fetch a.gz from the places into `folder`/a.gz."""
    return mirrors.fetch("a.gz", places, sha256, folder / "a.gz", folder / "downloads", QUICK)


def left(folder: Path) -> list[str]:
    """Return the names of all files there."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_from_the_first_mirror_that_has_it(tmp_path: Path) -> None:
    with serving(CONTENT, status(404)) as lacking, serving(CONTENT) as having:
        fetched = fetch(tmp_path, "/nowhere", lacking.address, having.address)
    assert fetched == Fetched(having.address, DIGEST)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert left(tmp_path) == WHOLE
    assert (tmp_path / "a.gz").stat().st_nlink == 2  # on the disk once


def test_a_verified_file_is_never_fetched_again(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        fetch(tmp_path, server.address)
        (tmp_path / "a.gz").unlink()
        fetch(tmp_path, server.address)
    assert server.ranges == [""]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_kept_file_that_has_changed_is_fetched_anew(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        fetch(tmp_path, server.address)
        (tmp_path / "downloads" / f"{DIGEST}-a.gz").write_bytes(b"rotten")
        fetch(tmp_path, server.address)
    assert server.ranges == ["", ""]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "moves",
    [
        [cut(10_000), cut(10_000), well],
        [cut(10_000, reset), well],
        [reset, status(503), status(429), well],
        [cut(10_000, hang), well],
        [hang, well],
        [cut(10_000, trickle), well],
        [cut(10_000), ignoring_ranges],
        [cut(10_000), changing_to(CONTENT, well)],
    ],
    ids=["cut", "reset", "busy", "stalled", "silent", "trickling", "ranges ignored", "new version"],
)
def test_what_is_cut_is_gone_on_with(tmp_path: Path, moves: list[Move]) -> None:
    with serving(CONTENT, *moves) as server:
        fetch(tmp_path, server.address)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert left(tmp_path) == WHOLE


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), cut(5_000)) as server:
        fetch(tmp_path, server.address)
    assert server.ranges == ["", "bytes=10000-", "bytes=15000-"]


def test_the_next_mirror_goes_on_with_what_the_first_has_sent(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), *[reset] * 9) as first, serving(CONTENT) as second:
        assert fetch(tmp_path, first.address, second.address).mirror == second.address
    assert second.ranges == ["bytes=10000-"]


def test_a_part_survives_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), *[reset] * 4) as server:
        with pytest.raises(UnreachableError, match="connection lost after 10,000 bytes"):
            fetch(tmp_path, server.address)
        assert not (tmp_path / "a.gz").exists()
        fetch(tmp_path, server.address)
    assert server.ranges[-1] == "bytes=10000-"
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_fetch_is_gone_on_with(tmp_path: Path, kill: signal.Signals) -> None:
    code = (
        "import sys; from pathlib import Path; from petseg.data import mirrors\n"
        "name, address, sha256, folder = sys.argv[1:]\n"
        "mirrors.fetch(name, [address], sha256, Path(folder) / name, Path(folder) / 'downloads')"
    )
    part = tmp_path / "downloads" / f"{DIGEST}-a.gz.partial"
    with serving(CONTENT, cut(10_000, hang)) as server:
        running = subprocess.Popen(
            [sys.executable, "-c", code, "a.gz", server.address, DIGEST, str(tmp_path)],
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == 10_000):
            assert time.monotonic() < until
            time.sleep(0.01)
        running.send_signal(kill)
        assert running.wait(30) != 0
        fetch(tmp_path, server.address)
    assert server.ranges == ["", "bytes=10000-"]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_file_that_changes_between_ranges_is_never_a_mixture(tmp_path: Path) -> None:
    moves = [cut(10_000), changing_to(OTHER, well)]
    digest = hashlib.sha256(OTHER).hexdigest()
    for sha256 in (digest, None):
        with serving(CONTENT, *moves) as server:
            fetch(tmp_path, server.address, sha256=sha256)
        assert (tmp_path / "a.gz").read_bytes() == OTHER


def test_an_unchecked_file_without_a_version_is_never_put_together(tmp_path: Path) -> None:
    def untagged(handler: Handler) -> None:
        handler.head(200, Content_Length=len(CONTENT))
        handler.wfile.write(CONTENT[:10_000])

    with serving(CONTENT, untagged, changing_to(OTHER, well)) as server:
        fetch(tmp_path, server.address, sha256=None)
    assert server.ranges == ["", ""]
    assert (tmp_path / "a.gz").read_bytes() == OTHER


def test_a_mixture_that_the_server_hides_is_fetched_again_in_one_piece(tmp_path: Path) -> None:
    def lying(handler: Handler) -> None:  # the first version's ETag, the second one's bytes
        changing_to(OTHER[: len(CONTENT)].ljust(len(CONTENT), b"x"), well, version=1)(handler)

    with serving(CONTENT, cut(10_000), lying, changing_to(CONTENT, well)) as server:
        fetch(tmp_path, server.address)
    assert server.ranges == ["", "bytes=10000-", ""]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("moves", "reason"),
    [
        (
            [changing_to(OTHER, well)],
            f"its SHA-256 is {hashlib.sha256(OTHER).hexdigest()}, expected {DIGEST}",
        ),
        ([page], "answers with text/html, not with a .gz"),
        ([to("/a.gz")] * 9, "redirects in a circle"),
        ([status(404)], "HTTP 404"),
        ([reset] * 9, "connection lost after 0 bytes"),
        ([hang] * 9, "no byte for 0.4 s"),
        ([cut(0, trickle)] * 9, "not with a .gz"),
    ],
    ids=["wrong", "page", "circle", "missing", "resets", "silent", "rubbish"],
)
def test_what_a_bad_mirror_does_is_named_and_the_next_one_is_asked(
    tmp_path: Path, moves: list[Move], reason: str
) -> None:
    with serving(CONTENT, *moves) as bad:
        with pytest.raises(UnreachableError) as caught:
            fetch(tmp_path, bad.address)
        assert reason in str(caught.value)
        assert not (tmp_path / "a.gz").exists()
    with serving(CONTENT, *moves) as bad, serving(CONTENT) as good:
        assert fetch(tmp_path, bad.address, good.address).mirror == good.address


def test_a_length_announced_too_long_is_found_out_by_the_range_and_the_checksum(
    tmp_path: Path,
) -> None:
    with serving(CONTENT, lambda handler: well(handler, extra=9)) as server:
        fetch(tmp_path, server.address)
    assert server.ranges == ["", f"bytes={len(CONTENT)}-"]


def test_a_length_announced_too_short_keeps_nothing_wrong(tmp_path: Path) -> None:
    with (
        serving(CONTENT, lambda handler: well(handler, extra=-9)) as server,
        pytest.raises(UnreachableError, match=f"expected {DIGEST}"),
    ):
        fetch(tmp_path, server.address)
    assert left(tmp_path) == []


def test_a_page_in_answer_to_a_range_does_not_cost_what_was_fetched(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), page) as server:
        with pytest.raises(UnreachableError, match="text/html"):
            fetch(tmp_path, server.address)
        fetch(tmp_path, server.address)
    assert server.ranges[-1] == "bytes=10000-"


def test_a_disk_too_small_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with (
        serving(CONTENT, lambda handler: well(handler, extra=10**17)) as server,
        pytest.raises(UserError, match=r"100,000,000,000 MB are to come, .* make room"),
    ):
        fetch(tmp_path, server.address)
    assert left(tmp_path) == []


def test_nobody_listening_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"127.0.0.1:9 \(no connection\)"):
        mirrors.fetch("a.gz", ["http://127.0.0.1:9"], DIGEST, tmp_path / "a.gz", tmp_path)


def test_https_is_never_redirected_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with (
        serving(CONTENT) as plain,
        serving(CONTENT, to(f"{plain.address}/a.gz"), tls=tls) as server,
    ):
        with pytest.raises(UnreachableError, match="redirects from https to http"):
            fetch(tmp_path / "x", server.address)
        assert plain.ranges == []
        assert fetch(tmp_path / "x", server.address).sha256 == DIGEST
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(UnreachableError, match="no secure connection"):
            fetch(tmp_path / "y", server.address)


def test_a_folder_is_copied_and_verified(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/a.gz").write_bytes(CONTENT)
    fetch(tmp_path, str(tmp_path / "mirror"))
    assert (tmp_path / "a.gz").stat().st_nlink == 1
    (tmp_path / "mirror/a.gz").write_bytes(OTHER)
    (tmp_path / "a.gz").unlink()
    with pytest.raises(UnreachableError, match=f"expected {DIGEST}"):
        fetch(tmp_path, str(tmp_path / "mirror"))
    assert left(tmp_path) == ["a.gz"]  # the mirror's own
