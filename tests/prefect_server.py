"""A real Prefect server on loopback for a test, with a home of its own, and what is asked of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from tests.conftest import ENVIRONMENT


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to become true; return it."""
    limit = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < limit, "this did not happen in time"
        time.sleep(0.2)
    return found


def free_port() -> int:
    """Return a port that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A server, started and stopped as often as a test likes; its database stays."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.home = home
        self.environment = os.environ | ENVIRONMENT | {"PREFECT_HOME": str(home)}
        self.environment |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        self.client = self.environment | {"PREFECT_API_URL": self.api}
        self.client |= {"PREFECT_WORKER_QUERY_SECONDS": "1"}  # how often it looks for runs

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.home.mkdir(exist_ok=True)
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--port", str(self.port)],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self.answers, 120)

    def stop(self) -> None:
        """Stop it, as a machine that goes down does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def answers(self) -> bool:
        """Return whether it is up."""
        try:
            return requests.get(f"{self.api}/health", timeout=2).ok
        except requests.RequestException:
            return False

    def ask(self, path: str, **filters: Any) -> Any:
        """Return what the API answers to a filter."""
        answer = requests.post(f"{self.api}/{path}", json=filters, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def last_run(self) -> dict[str, Any]:
        """Return the newest flow run that has begun."""
        begun = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        found = self.ask("flow_runs/filter", flow_runs=begun, sort="START_TIME_DESC", limit=1)
        run: dict[str, Any] = found[0]
        return run

    def tasks(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return a flow run's task runs by name, once all have ended, in order of their start."""

        def ended() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.ask(
                "task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}}
            )
            done = all(task["state"]["type"] not in ("PENDING", "RUNNING") for task in found)
            return found if done else []

        found = until(ended)
        return {task["name"]: task for task in sorted(found, key=lambda task: task["start_time"])}

    def states(self, run: dict[str, Any]) -> dict[str, str]:
        """Return the names of a flow run's task states by task."""
        return {name: task["state"]["name"] for name, task in self.tasks(run).items()}

    def lines(self, run: dict[str, Any]) -> str:
        """Return all that a flow run has logged."""
        logs = self.ask("logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}}, limit=200)
        return "\n".join(log["message"] for log in sorted(logs, key=lambda log: log["timestamp"]))

    def artifacts(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return a flow run's artifacts by key."""
        found = self.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [run["id"]]}})
        return {artifact["key"]: artifact for artifact in found}
