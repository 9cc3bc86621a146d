"""Time a verified fetch from a server on loopback against `curl` followed by `sha256sum`.

    python benchmarks/fetch_speed.py [--megabytes 800] [--rounds 5]

The two run in turn, in separate processes; the result is the ratio of their medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from petseg import files

FETCH = """
import sys
from pathlib import Path
from petseg.data import mirrors
address, sha256, folder = sys.argv[1:]
mirrors.fetch("a.gz", [address], sha256, Path(folder) / "a.gz", Path(folder))
"""


def wall_time(*command: str) -> float:
    """Run a command; return its wall time in seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a server for the files in a folder; return its process and its address."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    server = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdout
    port = server.stdout.readline().split("port ")[1].split()[0]
    return server, f"http://127.0.0.1:{port}"


def measure(address: str, sha256: str) -> tuple[float, float]:
    """Return the seconds that `mirrors.fetch` and curl with sha256sum take."""
    with tempfile.TemporaryDirectory() as target:
        fetch_seconds = wall_time(sys.executable, "-c", FETCH, address, sha256, target)
    with tempfile.TemporaryDirectory() as target:
        curl_seconds = wall_time(
            "bash", "-c", f"curl -sSfo {target}/a.gz {address}/a.gz && sha256sum {target}/a.gz"
        )
    return fetch_seconds, curl_seconds


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gz"
        with path.open("wb") as file:
            file.write(b"\x1f\x8b")  # the first bytes of every .gz
            for _ in range(args.megabytes):
                file.write(os.urandom(1_000_000))
        sha256 = files.sha256(path)
        server, address = serve(Path(folder))
        try:
            pairs = [measure(address, sha256) for _ in range(args.rounds)]
        finally:
            server.terminate()
            server.wait()
    fetch_seconds, curl_seconds = map(statistics.median, zip(*pairs, strict=True))
    print(
        f"fetch and verify {args.megabytes} MB: {fetch_seconds:.2f} s; "
        f"curl and sha256sum: {curl_seconds:.2f} s; "
        f"ratio {fetch_seconds / curl_seconds:.2f} (medians of {args.rounds})"
    )


if __name__ == "__main__":
    main()
