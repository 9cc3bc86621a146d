"""What the disk says of a file, to see whether it has changed without reading it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Status:
    """What the disk says of a file; it differs after every change of the content."""

    disk: int
    inode: int
    size: int  # in bytes
    modified: int  # in nanoseconds since 1970
    changed: int  # the same, but set by the system, also when a file is moved or its time is set

    @classmethod
    def of(cls, path: Path) -> "Status":
        """Return the status of the file at a path.

        Raises:
            OSError: there is none, or it cannot be looked at.
        """
        status = path.stat()
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    @property
    def last_change(self) -> int:
        """When the file came to be as it is: `mv` and `cp -p` keep the time of modification."""
        return max(self.modified, self.changed)

    def is_before(self, other: "Status") -> bool:
        """Return whether the file was surely last changed before another one was written.

        Times of two disks are not compared: one may be that of a server with another clock.
        """
        return self.disk == other.disk and self.last_change < other.modified
