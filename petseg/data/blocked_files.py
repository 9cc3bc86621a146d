"""What in a team's folder keeps DVC from reading it: names, pipes, devices, broken links, rights."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from petseg.data.folder_tables import GROUPS, SPLITS_TABLE
from petseg.data.pairs import IMAGES, MASKS, escaped

NOT_UTF8 = "names that are not UTF-8, at which DVC stops; rename them"
PIPES = "named pipes, which DVC would read for ever; remove them"
SPECIAL = "sockets or devices, which DVC cannot read; remove them"
BROKEN = "links that lead to no file, at which DVC stops; remove or mend them"
UNREADABLE = "files or folders that you may not read, at which DVC stops; `chmod -R a+rX` them"


def blocked_files(folder: Path) -> dict[str, list[str]]:
    """Return the paths of files and folders at which `dvc repro` would stop or hang, by kind.

    DVC reads all of images/ and masks/, also hidden files and those that are no pictures. Nothing
    is opened.
    """
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for path in all_paths(folder):
        for kind in faults(path):
            kinds[kind].append(escaped(path.relative_to(folder).as_posix()))
    return {kind: sorted(paths) for kind, paths in kinds.items()}


def all_paths(folder: Path) -> Iterator[Path]:
    """Yield the path of everything that DVC reads of a team's folder."""
    for name in (GROUPS, SPLITS_TABLE, IMAGES, MASKS):
        if os.path.lexists(folder / name):
            yield folder / name
    for top in (IMAGES, MASKS):
        for path, folders, names in os.walk(folder / top):
            yield from (Path(path, name) for name in (*folders, *names))


def faults(path: Path) -> Iterator[str]:
    """Yield the kinds of what keeps DVC from reading a file or folder."""
    if not is_utf8(path.name):
        yield NOT_UTF8
    try:
        mode = path.stat().st_mode
    except PermissionError:
        yield UNREADABLE
    except OSError:  # also a link that leads to itself
        yield BROKEN
    else:
        yield from mode_faults(path, mode)


def mode_faults(path: Path, mode: int) -> Iterator[str]:
    """Yield the kinds of what keeps DVC from reading what has such a mode."""
    if stat.S_ISFIFO(mode):
        yield PIPES
    elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        yield SPECIAL
    elif not os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)):
        yield UNREADABLE


def is_utf8(name: str) -> bool:
    """Return whether a name is stored as UTF-8; Python reads other bytes as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
