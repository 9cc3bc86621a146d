"""Time a verified fetch from a server on loopback against `curl` followed by `sha256sum`.

    python benchmarks/fetch_speed.py [--megabytes 800] [--rounds 5]

Both in turn, each in a process of its own; the ratio of the medians is what counts.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FETCH = """
import sys
from pathlib import Path
from petseg.data import mirrors
address, sha256, folder = sys.argv[1:]
mirrors.fetch("a.gz", [address], sha256, Path(folder) / "a.gz", Path(folder))
"""


def seconds(*command: str) -> float:
    """Run a command; return its wall time."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a server over a folder; return it and its address."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    server = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdout
    port = server.stdout.readline().split("port ")[1].split()[0]
    return server, f"http://127.0.0.1:{port}"


def round_of(address: str, sha256: str) -> tuple[float, float]:
    """Return our seconds and curl's."""
    with tempfile.TemporaryDirectory() as target:
        ours = seconds(sys.executable, "-c", FETCH, address, sha256, target)
    with tempfile.TemporaryDirectory() as target:
        theirs = seconds(
            "bash", "-c", f"curl -sSfo {target}/a.gz {address}/a.gz && sha256sum {target}/a.gz"
        )
    return ours, theirs


def main() -> None:
    """Print each side's median and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.gz"
        with file.open("wb") as written:
            written.write(b"\x1f\x8b")
            for _ in range(asked.megabytes):
                written.write(os.urandom(1_000_000))
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        server, address = serve(Path(folder))
        try:
            pairs = [round_of(address, sha256) for _ in range(asked.rounds)]
        finally:
            server.terminate()
            server.wait()
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"fetch and verify {asked.megabytes} MB: {ours:.2f} s; curl and sha256sum: {theirs:.2f} s; "
        f"ratio {ours / theirs:.2f} (medians of {asked.rounds})"
    )


if __name__ == "__main__":
    main()
