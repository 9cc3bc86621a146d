"""Assign every photo to the training, validation or test split."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from petseg.data import near_duplicates
from petseg.data.listing import ListedPhoto
from petseg.errors import UserError

SPLITS = ("train", "val", "test")
TRAINVAL = "trainval"  # an official list whose photos are divided into train and val


def divide_trainval(
    listed: Iterable[ListedPhoto], val_fraction: float, seed: int
) -> dict[str, str]:
    """Return the split of every listed name, with the official trainval list divided by subgroup.

    The official test list is the test split. A photo that cannot be used has the split that its
    list names, and no influence on the others.
    """
    rows = list(listed)
    subgroups = {row.name: row.subgroup for row in rows if row.split == TRAINVAL and not row.reason}
    validation = sample_by_subgroup(subgroups, val_fraction, seed)
    drawn = {name: "val" if name in validation else "train" for name in subgroups}
    return {row.name: drawn.get(row.name, row.split) for row in rows}


def sample_by_subgroup(subgroups: Mapping[str, str], share: float, seed: int) -> set[str]:
    """Return the same share of the names of every subgroup, at least one but never all.

    Names are ranked by a hash of seed and name, so one more photo changes the choice of at
    most one other photo.

    Args:
        subgroups: the subgroup of every name.
        share: of the names to return, 0 to 1.
        seed: decides the ranking.
    """
    names_by_subgroup: defaultdict[str, list[str]] = defaultdict(list)
    for name, subgroup in subgroups.items():
        names_by_subgroup[subgroup].append(name)
    sample: set[str] = set()
    for names in names_by_subgroup.values():
        ranking = sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
        count = max(1, round(share * len(names)))
        sample.update(ranking[: min(count, len(names) - 1)])
    return sample


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo that is to get a split."""

    name: str
    stratum: str  # its group and subgroup, of which each split gets the same share; may be empty
    cluster: int | str  # photos with the same one, such as those of a subject, stay in one split
    split: str  # its split in splits.csv; empty if it has none


@dataclass
class Cluster:
    """Photos that stay in one split."""

    candidates: list[Candidate]
    rank: bytes  # a hash of the seed and the smallest name; the lowest ranks are drawn first
    stratum: str  # of most of the photos; of several, the first by name
    fixed: set[str]  # the splits that splits.csv gives to some of the photos
    split: str  # of the other photos

    def __len__(self) -> int:
        return len(self.candidates)


def merge_clusters(subjects: Sequence[str], near: Int64[np.ndarray, "n"]) -> list[int]:
    """Return a number for each photo, equal for photos that must stay in one split.

    These are the photos of one subject and those with the same number in `near`, directly or
    through others. An empty subject is none.
    """
    first_rows: dict[int | str, int] = {}  # of each subject (str), and of each number (int)
    pairs = [
        (row, first_rows.setdefault(key, row))
        for row, keys in enumerate(zip(subjects, near.tolist(), strict=True))
        for key in keys
        if key != ""
    ]
    labels = np.arange(len(near))
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    near_duplicates.join(labels, left, right)
    return [int(label) for label in labels]


def draw_splits(
    candidates: Iterable[Candidate], *, test_fraction: float, val_fraction: float, seed: int
) -> dict[str, str]:
    """Return the split of every name: that of splits.csv, or one drawn by the seed.

    Test is drawn unless splits.csv names photos of it, and so is val. A cluster stays in one
    split, and each split gets the same share of every stratum, as far as clusters can be divided.

    If splits.csv itself divides a cluster, its other photos get the first of these splits in the
    order train, val, test: a photo that looks like one of train measures nothing.

    If splits.csv names photos of train and none of val, val is drawn from these photos, too. If it
    names test, every stratum gives a photo to val. So the official lists give the same splits as
    `divide_trainval`, unless several breeds have a single photo.

    Args:
        candidates: photos with unique names, in any order.
        test_fraction: share of the photos that splits.csv does not put into val, 0–1.
        val_fraction: share of the photos that are not in test, 0–1.
        seed: determines the choice, with the names.

    Raises:
        UserError: a split would be empty.
    """
    clusters = group(candidates, seed)
    named = {split for cluster in clusters for split in cluster.fixed}
    if "test" not in named:
        draw(clusters, "test", test_fraction, per_stratum=0, remaining=1 + ("val" not in named))
    if "val" not in named:
        draw(clusters, "val", val_fraction, per_stratum=int("test" in named), remaining=1)
    split_by_name = {
        photo.name: photo.split if photo.split in ("val", "test") else cluster.split
        for cluster in clusters
        for photo in cluster.candidates
    }
    check_no_split_is_empty(split_by_name, clusters)
    return split_by_name


def group(candidates: Iterable[Candidate], seed: int) -> list[Cluster]:
    """Return the clusters of all photos; those without a photo in splits.csv are in train."""
    members: defaultdict[int | str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        members[candidate.cluster].append(candidate)
    clusters = []
    for photos in members.values():
        counts = Counter(photo.stratum for photo in photos)
        stratum = min(counts, key=lambda stratum: (-counts[stratum], stratum))
        fixed = {photo.split for photo in photos} - {""}
        split = min(fixed, key=SPLITS.index, default="train")
        name = min(photo.name for photo in photos)
        clusters.append(Cluster(photos, rank(name, seed), stratum, fixed, split))
    return clusters


def draw(
    clusters: list[Cluster], split: str, fraction: float, *, per_stratum: int, remaining: int
) -> None:
    """Move a share of the photos of every stratum, by cluster, from train to `split`.

    Strata that can give none, as they have few photos or large clusters, are drawn as one.

    Args:
        clusters: of all photos.
        split: test or val.
        fraction: share of the photos, 0–1.
        per_stratum: photos that a stratum gives even if its share is smaller.
        remaining: clusters of a stratum that stay in train, for the other splits.
    """
    train = [cluster for cluster in clusters if cluster.split == "train"]
    strata: defaultdict[str, list[Cluster]] = defaultdict(list)
    for cluster in train:
        strata[cluster.stratum].append(cluster)
    chosen: list[Cluster] = []
    pool: list[Cluster] = []
    for stratum in strata.values():
        photos = max(per_stratum, round(fraction * sum(map(len, stratum))))
        sample = lowest_ranks(stratum, split, photos, remaining)
        chosen += sample
        pool += [] if sample else stratum
    chosen += lowest_ranks(pool, split, round(fraction * sum(map(len, pool))), remaining)
    if not chosen and len(train) > remaining:
        chosen = sorted(drawable(train, split), key=lambda cluster: (len(cluster), cluster.rank))[
            :1
        ]
    for cluster in chosen:
        cluster.split = split


def lowest_ranks(clusters: list[Cluster], split: str, photos: int, remaining: int) -> list[Cluster]:
    """Return the clusters of lowest rank with about this number of photos.

    A cluster is left out if the number is closer without it; `remaining` clusters always are.
    """
    sample: list[Cluster] = []
    for cluster in sorted(drawable(clusters, split), key=lambda cluster: cluster.rank):
        if len(sample) < len(clusters) - remaining and len(cluster) < 2 * photos:
            sample.append(cluster)
            photos -= len(cluster)
    return sample


def drawable(clusters: Iterable[Cluster], split: str) -> list[Cluster]:
    """Return the clusters that may get a split: for val those of train in splits.csv, too."""
    allowed = {"train"} if split == "val" else set()
    return [cluster for cluster in clusters if cluster.fixed <= allowed]


def rank(name: str, seed: int) -> bytes:
    """Return a place in the draw that no other name changes."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def check_no_split_is_empty(split_by_name: Mapping[str, str], clusters: list[Cluster]) -> None:
    """Check that there are photos to train with, to validate with and to test with.

    Raises:
        UserError: a split has no photo.
    """
    empty = [split for split in SPLITS if split not in split_by_name.values()]
    if not empty:
        return
    count = len(split_by_name)
    photos = "1 photo" if count == 1 else f"{count} photos"
    if count < len(SPLITS):
        raise UserError(f"{photos} cannot be divided into train, val and test; add photos")
    if any(cluster.fixed for cluster in clusters):
        raise UserError(
            f"splits.csv leaves no photo for {empty[0]}: name photos of {empty[0]} there, "
            "or add photos of other subjects"
        )
    raise UserError(
        f"{photos} cannot be divided into train, val and test: those of one subject, and those that "
        f"look alike, stay in one split, which leaves {len(clusters)} of the 3 that are needed; add "
        "photos of other subjects, or name the split of each photo in splits.csv"
    )
