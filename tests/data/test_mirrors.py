"""Downloads from a real HTTP server that works correctly, or has one of many faults."""

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
from petseg.data.mirrors import FetchResult, RetryPolicy, UnreachableError
from petseg.errors import UserError
from tests.data.bad_server import (
    Answer,
    Handler,
    answer_correctly,
    change_content,
    cut,
    hang,
    ignore_range,
    redirect,
    reset,
    send_page,
    serving,
    status,
    trickle,
)

CONTENT = gzip.compress(random.Random(1).randbytes(50_000), mtime=0)
OTHER = gzip.compress(random.Random(2).randbytes(50_000), mtime=0)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILES_AFTER_FETCH = sorted(["a.gz", f"{DIGEST}-a.gz"])
QUICK = RetryPolicy(timeout=0.4, min_bytes=1000, pauses=(0.01, 0.02, 0.03), reset_bytes=1000)


def fetch(folder: Path, *addresses: str, sha256: str | None = DIGEST) -> FetchResult:
    """Fetch a.gz from mirrors to `folder`/a.gz."""
    return mirrors.fetch("a.gz", addresses, sha256, folder / "a.gz", folder / "downloads", QUICK)


def file_names(folder: Path) -> list[str]:
    """Return the names of all files in a folder and its subfolders."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_from_the_first_mirror_that_has_it(tmp_path: Path) -> None:
    with serving(CONTENT, status(404)) as empty, serving(CONTENT) as server:
        result = fetch(tmp_path, "/nowhere", empty.address, server.address)
    assert result == FetchResult(server.address, DIGEST)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert file_names(tmp_path) == FILES_AFTER_FETCH
    assert (tmp_path / "a.gz").stat().st_nlink == 2  # two names, but the bytes are on the disk once


def test_a_verified_file_is_never_downloaded_again(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        fetch(tmp_path, server.address)
        (tmp_path / "a.gz").unlink()
        fetch(tmp_path, server.address)
    assert server.ranges == [""]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_stored_file_that_has_changed_is_downloaded_again(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        fetch(tmp_path, server.address)
        (tmp_path / "downloads" / f"{DIGEST}-a.gz").write_bytes(b"rotten")
        fetch(tmp_path, server.address)
    assert server.ranges == ["", ""]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answers",
    [
        [cut(10_000), cut(10_000), answer_correctly],
        [cut(10_000, reset), answer_correctly],
        [reset, status(503), status(429), answer_correctly],
        [cut(10_000, hang), answer_correctly],
        [hang, answer_correctly],
        [cut(10_000, trickle), answer_correctly],
        [cut(10_000), ignore_range],
        [cut(10_000), change_content(CONTENT, answer_correctly)],
    ],
    ids=["cut", "reset", "busy", "stalled", "silent", "trickling", "ranges ignored", "new version"],
)
def test_an_interrupted_download_is_continued(tmp_path: Path, answers: list[Answer]) -> None:
    with serving(CONTENT, *answers) as server:
        fetch(tmp_path, server.address)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert file_names(tmp_path) == FILES_AFTER_FETCH


def test_only_the_missing_bytes_are_requested(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), cut(5_000)) as server:
        fetch(tmp_path, server.address)
    assert server.ranges == ["", "bytes=10000-", "bytes=15000-"]


def test_the_next_mirror_continues_the_download_of_the_first(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), *[reset] * 9) as first, serving(CONTENT) as second:
        assert fetch(tmp_path, first.address, second.address).mirror == second.address
    assert second.ranges == ["bytes=10000-"]


def test_a_partial_download_survives_and_the_next_run_continues_it(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), *[reset] * 4) as server:
        with pytest.raises(UnreachableError, match="connection lost after 10,000 bytes"):
            fetch(tmp_path, server.address)
        assert not (tmp_path / "a.gz").exists()
        fetch(tmp_path, server.address)
    assert server.ranges[-1] == "bytes=10000-"
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_a_download_killed_by_a_signal_is_continued(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    code = (
        "import sys; from pathlib import Path; from petseg.data import mirrors\n"
        "name, address, sha256, folder = sys.argv[1:]\n"
        "mirrors.fetch(name, [address], sha256, Path(folder) / name, Path(folder) / 'downloads')"
    )
    part = tmp_path / "downloads" / f"{DIGEST}-a.gz.partial"
    with serving(CONTENT, cut(10_000, hang)) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "a.gz", server.address, DIGEST, str(tmp_path)],
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == 10_000):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal_number)
        assert process.wait(30) != 0
        fetch(tmp_path, server.address)
    assert server.ranges == ["", "bytes=10000-"]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_file_that_changes_between_ranges_is_never_a_mixture(tmp_path: Path) -> None:
    answers = [cut(10_000), change_content(OTHER, answer_correctly)]
    digest = hashlib.sha256(OTHER).hexdigest()
    for sha256 in (digest, None):
        with serving(CONTENT, *answers) as server:
            fetch(tmp_path, server.address, sha256=sha256)
        assert (tmp_path / "a.gz").read_bytes() == OTHER


def test_an_unchecked_file_without_a_version_is_never_combined_from_parts(tmp_path: Path) -> None:
    def send_without_tag(handler: Handler) -> None:
        handler.send_head(200, Content_Length=len(CONTENT))
        handler.wfile.write(CONTENT[:10_000])

    with serving(CONTENT, send_without_tag, change_content(OTHER, answer_correctly)) as server:
        fetch(tmp_path, server.address, sha256=None)
    assert server.ranges == ["", ""]
    assert (tmp_path / "a.gz").read_bytes() == OTHER


def test_a_mixture_that_the_server_hides_is_downloaded_again_in_one_response(
    tmp_path: Path,
) -> None:
    def send_mixture(handler: Handler) -> None:  # the ETag of the first version, other bytes
        change_content(
            OTHER[: len(CONTENT)].ljust(len(CONTENT), b"x"), answer_correctly, version=1
        )(handler)

    with serving(
        CONTENT, cut(10_000), send_mixture, change_content(CONTENT, answer_correctly)
    ) as server:
        fetch(tmp_path, server.address)
    assert server.ranges == ["", "bytes=10000-", ""]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (
            [change_content(OTHER, answer_correctly)],
            f"its SHA-256 is {hashlib.sha256(OTHER).hexdigest()}, expected {DIGEST}",
        ),
        ([send_page], "answers with text/html, not with a .gz"),
        ([redirect("/a.gz")] * 9, "redirects in a circle"),
        ([status(404)], "HTTP 404"),
        ([reset] * 9, "connection lost after 0 bytes"),
        ([hang] * 9, "no byte for 0.4 s"),
        ([cut(0, trickle)] * 9, "not with a .gz"),
    ],
    ids=["wrong", "page", "circle", "missing", "resets", "silent", "rubbish"],
)
def test_the_fault_of_a_mirror_is_named_and_the_next_one_is_used(
    tmp_path: Path, answers: list[Answer], reason: str
) -> None:
    with serving(CONTENT, *answers) as bad:
        with pytest.raises(UnreachableError) as error_info:
            fetch(tmp_path, bad.address)
        assert reason in str(error_info.value)
        assert not (tmp_path / "a.gz").exists()
    with serving(CONTENT, *answers) as bad, serving(CONTENT) as good:
        assert fetch(tmp_path, bad.address, good.address).mirror == good.address


def test_an_announced_length_that_is_too_large_is_corrected_by_range_and_checksum(
    tmp_path: Path,
) -> None:
    with serving(CONTENT, lambda handler: answer_correctly(handler, extra=9)) as server:
        fetch(tmp_path, server.address)
    assert server.ranges == ["", f"bytes={len(CONTENT)}-"]


def test_an_announced_length_that_is_too_small_leaves_no_wrong_file(tmp_path: Path) -> None:
    with (
        serving(CONTENT, lambda handler: answer_correctly(handler, extra=-9)) as server,
        pytest.raises(UnreachableError, match=f"expected {DIGEST}"),
    ):
        fetch(tmp_path, server.address)
    assert file_names(tmp_path) == []


def test_a_page_sent_for_a_range_does_not_discard_the_partial_download(tmp_path: Path) -> None:
    with serving(CONTENT, cut(10_000), send_page) as server:
        with pytest.raises(UnreachableError, match="text/html"):
            fetch(tmp_path, server.address)
        fetch(tmp_path, server.address)
    assert server.ranges[-1] == "bytes=10000-"


def test_a_disk_that_is_too_small_is_reported_before_the_download(tmp_path: Path) -> None:
    with (
        serving(CONTENT, lambda handler: answer_correctly(handler, extra=10**17)) as server,
        pytest.raises(UserError, match=r"100,000,000,000 MB are to come, .* make room"),
    ):
        fetch(tmp_path, server.address)
    assert file_names(tmp_path) == []


def test_a_port_without_a_server_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"127.0.0.1:9 \(no connection\)"):
        mirrors.fetch("a.gz", ["http://127.0.0.1:9"], DIGEST, tmp_path / "a.gz", tmp_path)


def test_https_is_never_redirected_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with (
        serving(CONTENT) as http,
        serving(CONTENT, redirect(f"{http.address}/a.gz"), tls=tls) as server,
    ):
        with pytest.raises(UnreachableError, match="redirects from https to http"):
            fetch(tmp_path / "x", server.address)
        assert http.ranges == []
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
    assert file_names(tmp_path) == ["a.gz"]  # the file of the mirror
