"""The sources of the archives: drawn pets, folders, and a real HTTP server."""

from pathlib import Path

import numpy as np
import pytest

from petseg import files
from petseg.data import archives, demo, demo_pets
from tests.conftest import run_in, with_archives
from tests.data.bad_server import serving, status


def test_a_drawn_photo_depends_only_on_its_seed() -> None:
    breed = demo_pets.BREEDS[0]
    photo, same_seed, other_seed = (
        demo_pets.draw_photo(np.random.default_rng(seed), breed) for seed in (1, 1, 2)
    )
    assert photo[0].tobytes() == same_seed[0].tobytes()
    assert photo[1].tobytes() == same_seed[1].tobytes()
    assert photo[0].tobytes() != other_seed[0].tobytes()


@pytest.mark.parametrize("breed", demo_pets.BREEDS, ids=lambda breed: breed.name)
def test_in_every_trimap_a_border_band_separates_pet_and_background(breed: demo_pets.Breed) -> None:
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
        demo.draw_archives(tmp_path / name, seed=5, trainval=12, test=2)
    for archive in (archives.IMAGES, archives.ANNOTATIONS):
        assert files.sha256(tmp_path / "one" / archive) == files.sha256(tmp_path / "two" / archive)
    names = [name for name, _ in archives.read_members(tmp_path / "one" / archives.ANNOTATIONS)]
    assert names[:4] == [
        "annotations/list.txt",
        "annotations/trainval.txt",
        "annotations/test.txt",
        "annotations/trimaps/Marmalade_1.png",
    ]


def download_into(folder: Path, recipes: str, fails: bool = False) -> str:
    """Run the stage in a folder with these recipes; return what it prints."""
    (folder / "params.yaml").write_text(recipes)
    return run_in(folder, "python", "-m", "stages.download", "own", "raw", "downloads", fails=fails)


def test_unreachable_mirrors_are_named_with_the_demo_and_local_copies_as_remedies(
    tmp_path: Path,
) -> None:
    with serving(b"", status(404)) as server:
        mirrors = [server.address, f"{tmp_path}/none"]
        output = download_into(tmp_path, with_archives(mirrors), fails=True)
    assert len(output.splitlines()) == 1
    for text in (
        f"{server.address} (HTTP 404)",
        f"{tmp_path}/none (No such file",
        "petseg use demo",
        "download.mirrors",
    ):
        assert text in output


def test_a_verified_download_is_used_again_without_a_network(tmp_path: Path) -> None:
    archives.write(tmp_path / "a.tar.gz", [("x", b"y")])
    digest = files.sha256(tmp_path / "a.tar.gz")
    with serving((tmp_path / "a.tar.gz").read_bytes()) as server:
        recipes = with_archives([server.address], digest, digest)
        download_into(tmp_path, recipes)
        source = (tmp_path / "raw/source.json").read_bytes()
    output = download_into(tmp_path, recipes)
    assert f"images.tar.gz: verified, from downloads/{digest}-images.tar.gz" in output
    assert (tmp_path / "raw/source.json").read_bytes() == source
    assert len(server.ranges) == 2


def test_unchecked_archives_are_called_unofficial(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    for name in (archives.IMAGES, archives.ANNOTATIONS):
        archives.write(tmp_path / "mirror" / name, [("x", b"y")])
    download_into(tmp_path, with_archives([f"{tmp_path}/mirror"]))
    source = files.read_json(tmp_path / "raw/source.json")
    assert (source["official"], source["checked"]) == (False, False)


def test_a_failing_run_leaves_the_previous_output(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/images.tar.gz").write_bytes(b"good")
    download_into(tmp_path, with_archives([f"{tmp_path}/none"]), fails=True)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["images.tar.gz"]
