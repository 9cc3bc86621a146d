"""Sources: synthetic pets that are equal for a seed, folders, and a real HTTP server."""

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from stages import download
from stages.petseg import archives, demo_pets, mirrors
from stages.petseg.errors import UserError
from tests.conftest import TINY, run_in

CONTENT = b"an archive" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of an HTTP server over a folder that has `a.tar.gz`."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/a.tar.gz").write_bytes(CONTENT)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_photo_is_the_same_for_its_seed_and_another_for_another() -> None:
    breed = demo_pets.BREEDS[0]
    first, again, other = (
        demo_pets.draw_photo(np.random.default_rng(seed), breed) for seed in (1, 1, 2)
    )
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


@pytest.mark.parametrize("breed", demo_pets.BREEDS, ids=lambda breed: breed.name)
def test_every_breed_has_pet_background_and_a_border_band_between(breed: demo_pets.Breed) -> None:
    trimap = np.asarray(demo_pets.draw_photo(np.random.default_rng(5), breed)[1])
    assert set(np.unique(trimap)) == {1, 2, 3}
    pet, background = trimap == 1, trimap == 2
    for axis in (0, 1):
        assert not (pet & np.roll(background, 1, axis))[1:, 1:].any()


def test_the_demo_has_cats_and_dogs_of_eight_breeds_or_more() -> None:
    species = {breed.name: breed.species for breed in demo_pets.BREEDS}
    assert len(species) >= 8
    assert set(species.values()) == {"cat", "dog"}


def test_the_demo_archives_are_equal_for_a_seed_and_in_the_official_layout(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        download.draw_demo(download.Demo("demo", 5, 12, 2), tmp_path / name)
    for archive in (archives.IMAGES, archives.ANNOTATIONS):
        assert archives.sha256(tmp_path / "one" / archive) == archives.sha256(
            tmp_path / "two" / archive
        )
    names = [name for name, _ in archives.read_members(tmp_path / "one" / archives.ANNOTATIONS)]
    assert names[:4] == [
        "annotations/list.txt",
        "annotations/trainval.txt",
        "annotations/test.txt",
        "annotations/trimaps/Marmalade_1.png",
    ]


def test_a_file_comes_over_http_and_is_verified(server: str, tmp_path: Path) -> None:
    fetched = mirrors.fetch("a.tar.gz", ["/nowhere", server], DIGEST, tmp_path / "a")
    assert (fetched.mirror, fetched.sha256) == (server, DIGEST)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_folder_is_copied_not_linked(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(CONTENT)
    mirrors.fetch("a.tar.gz", [str(tmp_path)], None, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_nlink == 1


def test_a_wrong_checksum_says_what_and_keeps_nothing(server: str, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    with pytest.raises(
        UserError, match=f"a.tar.gz from {server} has SHA-256 {DIGEST}, expected 0000"
    ):
        mirrors.fetch("a.tar.gz", [server], "0" * 64, tmp_path / "got/a")
    assert list((tmp_path / "got").iterdir()) == []


def test_a_verified_download_is_kept_and_not_fetched_again(server: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = download.fetch_one("a.tar.gz", [server], DIGEST, tmp_path / "one", kept)
    again = download.fetch_one("a.tar.gz", ["http://127.0.0.1:9"], DIGEST, tmp_path / "two", kept)
    assert (first, again) == (server, str(kept / f"{DIGEST}-a.tar.gz"))
    assert (tmp_path / "two").read_bytes() == CONTENT


def test_nothing_reachable_names_the_mirrors_the_demo_and_local_copies(
    server: str, tmp_path: Path
) -> None:
    demo = "download: {source: demo, seed: 3, trainval: 12, test: 4}"
    wanted = f"download: {{source: archives, mirrors: [{server}/missing, {tmp_path}/none], sha256: {{images: null, annotations: null}}}}"
    (tmp_path / "params.yaml").write_text(TINY.replace(demo, wanted, 1))
    output = run_in(tmp_path, "python", "-m", "stages.download", "raw", "downloads", fails=True)
    assert len(output.splitlines()) == 1
    for words in (
        f"{server}/missing (HTTP 404)",
        f"{tmp_path}/none (No such file",
        "petseg use demo",
        "download.mirrors",
    ):
        assert words in output


def test_unchecked_archives_are_called_unofficial(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "raw").mkdir()
    for name in (archives.IMAGES, archives.ANNOTATIONS):
        archives.write(tmp_path / "mirror" / name, [("x", b"y")])
    settings = download.Archives(
        "archives", [str(tmp_path / "mirror")], download.Checksums(None, None)
    )
    facts = download.fetch_archives(settings, tmp_path / "raw", tmp_path / "kept")
    source = download.describe(tmp_path / "raw", "archives", facts)
    assert (source["official"], source["checked"]) == (False, False)
    json.dumps(source)
