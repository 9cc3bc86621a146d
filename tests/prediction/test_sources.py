"""Which photos the inputs stand for, how their outputs are called, and how they are read."""

import os
import time
from pathlib import Path

import pytest

from petseg.data.photos import UnusableError
from petseg.errors import UserError
from petseg.prediction import shards, sources
from petseg.prediction.sources import Source
from tests.data import bad_server

pytestmark = pytest.mark.usefixtures("in_tmp_path")


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def touch(*paths: str) -> None:
    """Create empty files with their folders."""
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def names(*inputs: str, list_file: str | None = None, out: Path | None = None) -> dict[str, str]:
    """Return the names of the outputs by the location of the photo, in order."""
    return {s.location: s.name for s in sources.expand(inputs, list_file, out)}


def test_a_folder_stands_for_its_photos_sorted_but_not_for_hidden_ones_and_outputs() -> None:
    touch("in/b/z.JPEG", "in/b.jpg", "in/a.png", "in/.hidden.jpg", "in/.git/x.jpg", "in/text.txt")
    touch("in/a.mask.png", "in/b.cutout.webp", "in/masks/b.jpg", "in/masks.jpg/c.jpg")
    expected = {
        "in/a.png": "a.png",
        "in/b.jpg": "b",
        "in/b/z.JPEG": "b/z.JPEG",
        "in/masks.jpg/c.jpg": "masks.jpg/c",
    }
    assert names("in", out=Path("in/masks")) == expected
    Path("linked").symlink_to("in/masks")
    assert names("in", out=Path("linked")) == expected
    assert names("in/", out=Path("in")) == expected | {"in/masks/b.jpg": "masks/b"}


def test_several_folders_and_photos_keep_apart_and_a_photo_counts_once() -> None:
    touch("in/a/x.jpg", "in/b/x.jpg", "y.jpg")
    assert names("in/a", "in/b", "y.jpg", "./y.jpg", "in/../y.jpg", "-") == {
        "in/a/x.jpg": "a/x",
        "in/b/x.jpg": "b/x",
        "y.jpg": "y",
        "-": "stdin",
    }


def test_a_pattern_keeps_the_folders_below_its_first_star_and_a_file_of_that_name_wins() -> None:
    touch("in/a/x.jpg", "in/b/x.jpg", "in/b/x.mask.png", "in/.c/x.jpg", "in/[b].jpg", "in/b.jpg")
    assert names("in/*/x.*") == {"in/a/x.jpg": "a/x", "in/b/x.jpg": "b/x"}
    assert names("in/**/x.jpg") == {"in/a/x.jpg": "a/x", "in/b/x.jpg": "b/x"}
    assert names("in/[b].jpg") == {"in/[b].jpg": "[b]"}
    assert [s.named for s in sources.expand(["in/*/x.jpg"], None, None)] == [False, False]


def test_a_list_keeps_the_folders_of_paths_and_addresses(tmp_path: Path) -> None:
    lines = [
        *("a/x.jpg", " b/x.jpg\r", "", f"{tmp_path}/c.jpg", "a/../d.jpg", "../up.jpg"),
        *("https://user:secret@example.org/a/../x.jpg", "http://example.org/x.jpg?id=1"),
        *("http://example.org/x.jpg?id=2", "http://example.org", "http://[bad", "missing.jpg"),
    ]
    Path("list.txt").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    result = list(names(list_file="list.txt").values())
    parent = str(tmp_path.parent).lstrip("/")
    assert result[:6] == [
        "a/x",
        "b/x",
        f"{parent}/{tmp_path.name}/c",
        "d",
        f"{parent}/up",
        "example.org/a/x",
    ]
    first, second = result[6:8]
    assert first.startswith("example.org/x.jpg-")
    assert second.startswith("example.org/x.jpg-")
    assert first != second
    assert result[8:] == ["example.org", "photo", "missing"]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://example.org/a/cat.jpg", "cat"),
        ("https://example.org/a/cat.png?size=2", "cat.png"),
        ("https://example.org/%2e%2e%2f..%2fcat%3A%00.jpg", "cat"),
        ("https://example.org/Käfer%20%F0%9F%90%B1.jpg", "Käfer 🐱"),
        ("https://example.org", "example.org"),
        ("https://example.org/..", "example.org"),
    ],
)
def test_an_address_gives_a_name_that_stays_in_the_folder(address: str, name: str) -> None:
    assert names(address) == {address: name}


def test_no_two_photos_of_a_folder_share_a_name() -> None:
    files = (
        "cat.jpg",
        "cat.png",
        "cat.JPG",
        "cat.jpeg",
        "cat.png.jpg",
        "cat.jpg.jpg",
        "cat.mask.jpg",
    )
    touch(*(f"in/{file}" for file in files))
    result = names("in")
    assert result["in/cat.jpg"] == "cat"
    assert len(set(result.values())) == len(files)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (["missing.jpg"], "missing.jpg: no such file or folder"),
        (["empty"], "empty: no photo; photos end in .jpg, .jpeg, .png"),
        (["empty/*.jpg"], "empty/*.jpg: no photo; "),
        (["empty/**.jpg"], "empty/**.jpg: "),
        (["a" * 300], "cannot be read: File name too long"),
    ],
)
def test_an_input_without_a_photo_is_an_error(inputs: list[str], text: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError) as error:
        sources.expand(inputs, None, None)
    assert text in str(error.value)


def test_a_list_that_cannot_be_read_is_an_error() -> None:
    Path("list.txt").write_bytes(b"K\xe4fer.jpg")
    for file, text in (
        ("list.txt", "the list is not UTF-8"),
        ("no.txt", "the list cannot be read"),
    ):
        with pytest.raises(UserError, match=text):
            sources.expand([], file, None)
    Path("empty.txt").write_text("\n")
    with pytest.raises(UserError, match=r"^empty.txt: the list is empty"):
        sources.expand([], "empty.txt", None)
    with pytest.raises(UserError, match="a photo or a list, but not both"):
        sources.expand(["-"], "-", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up its rights for a moment")
def test_a_folder_that_cannot_be_read_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    touch("in/a.jpg", "in/secret/b.jpg")
    Path("in/secret").chmod(0)
    Path("in").chmod(0o755)
    descriptor = os.open("in", os.O_RDONLY)  # others may not enter the folders of pytest
    try:
        os.fchdir(descriptor)
        os.seteuid(65534)
        with pytest.raises(UserError, match="secret cannot be read: Permission denied"):
            sources.expand(["."], None, Path("masks"))
    finally:
        os.seteuid(0)
        os.close(descriptor)
        os.chdir(tmp_path)


def test_a_path_of_any_bytes_has_a_label_of_one_line_of_its_own() -> None:
    labels = [
        Source(os.fsdecode(b), "", named=True).label for b in (b"\xff", b"\xfe", b"a\nb \xc3\xa4")
    ]
    assert labels == ["\\udcff", "\\udcfe", "a\\nb ä"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/", "a/b", "-1/3", "1/3/5", ""])
def test_a_shard_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="expected NUMBER/COUNT, such as 3/64"):
        shards.parse(text)


def test_shards_share_all_photos_evenly_by_their_names_alone() -> None:
    photos = [Source(f"in/{n}.jpg", f"{n}", named=False) for n in range(300)]
    parts = [[s for s in photos if shards.is_in(s, n, 3)] for n in (1, 2, 3)]
    assert sorted(s.name for part in parts for s in part) == sorted(s.name for s in photos)
    assert all(70 < len(part) < 130 for part in parts)
    # SHA-256 of "cat" begins with 77af778b51abd4a3, which is 2 modulo 3.
    assert shards.is_in(
        Source("anywhere", "cat", named=True), int("77af778b51abd4a3", 16) % 3 + 1, 3
    )


def test_a_file_that_cannot_be_read_or_is_too_large_has_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    Path("large.jpg").write_bytes(b"x" * 11)
    Path("fits.jpg").write_bytes(b"x" * 10)
    Path("empty.jpg").touch()
    Path("folder").mkdir()
    assert Source("fits.jpg", "", named=True).read() == b"x" * 10
    for location, reason in {
        "large.jpg": "more than 10 bytes",
        "empty.jpg": "photo is empty",
        "missing.jpg": "cannot be read: No such file",
        "folder": "cannot be read: Is a directory",
        "a\0b": "cannot be read: embedded null byte",
        "a" * 300: "cannot be read: File name too long",
    }.items():
        with pytest.raises(UnusableError, match=reason):
            Source(location, "", named=True).read()


def test_an_address_is_read_also_after_a_redirect() -> None:
    with bad_server.serving(b"photo", bad_server.redirect("/elsewhere")) as server:
        assert sources.download(server.address + "/cat.jpg") == b"photo"
    assert len(server.ranges) == 2  # requests


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (bad_server.status(404), "cannot be downloaded: 404 Not Found"),
        (bad_server.status(503), "cannot be downloaded: 503 Service Unavailable"),
        (bad_server.hang, "cannot be downloaded: .*Timeout"),
        (bad_server.cut(3, bad_server.hang), "cannot be downloaded: ReadTimeoutError"),
        (bad_server.cut(3, bad_server.trickle), "not there after 0.3 s"),
        (bad_server.cut(3, bad_server.reset), "cannot be downloaded: "),
        (bad_server.cut(3), "cannot be downloaded: "),
        (bad_server.answer_correctly, "more than 100,000 bytes"),
        (bad_server.redirect("file:///etc/passwd"), "cannot be downloaded: InvalidSchema"),
        (bad_server.redirect("/again"), "more than 100,000 bytes"),
    ],
)  # fmt: skip
def test_a_download_is_limited_in_size_and_time_and_a_fault_has_a_reason(
    answer: bad_server.Answer, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 100_000)
    monkeypatch.setattr(sources, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(sources, "DOWNLOAD_SECONDS", 0.3)
    start = time.monotonic()
    with (
        bad_server.serving(bytes(200_000), answer) as server,
        pytest.raises(UnusableError, match=reason),
    ):
        sources.download(server.address)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "address", ["http://", "http://[bad", f"http://{'a' * 70}.invalid", "http://127.0.0.1:1/"]
)
def test_an_address_without_a_server_has_a_reason(address: str) -> None:
    with pytest.raises(UnusableError, match="photo cannot be downloaded: "):
        sources.download(address)
