"""A real Prefect server on loopback for a test, with a home of its own, and queries to its API."""

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
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.conftest import ENVIRONMENT


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Call a condition until it returns something true, and return that; fail after some time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} seconds"
        time.sleep(0.2)
    return value


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A server that a test starts and stops as often as it needs; its database stays."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.home = home
        self.environment = os.environ | ENVIRONMENT | {"PREFECT_HOME": str(home)}
        self.environment |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        self.client = self.environment | {"PREFECT_API_URL": self.api}
        self.client |= {"PREFECT_WORKER_QUERY_SECONDS": "1"}  # how often a worker looks for runs

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
        wait_until(self.is_up, 120)

    def stop(self) -> None:
        """Kill it, as the crash of a machine would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def is_up(self) -> bool:
        """Return whether it answers."""
        try:
            return requests.get(f"{self.api}/health", timeout=2).ok
        except requests.RequestException:
            return False

    def query(self, path: str, **filters: Any) -> Any:
        """Return the API's answer to a POST with these filters.

        A server whose database is busy answers with 503, upon which Prefect's client tries again.
        """
        retry = Retry(5, status_forcelist=[503], allowed_methods=None, backoff_factor=0.5)
        with requests.Session() as session:
            session.mount(self.api, HTTPAdapter(max_retries=retry))
            response = session.post(f"{self.api}/{path}", json=filters, timeout=30)
        response.raise_for_status()
        return response.json()

    def last_run(self) -> dict[str, Any]:
        """Return the newest flow run that has started."""
        started = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        runs = self.query("flow_runs/filter", flow_runs=started, sort="START_TIME_DESC", limit=1)
        run: dict[str, Any] = runs[0]
        return run

    def tasks(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return a flow run's task runs by name, once all have ended, in order of their start."""

        def final_tasks() -> list[dict[str, Any]]:
            tasks: list[dict[str, Any]] = self.query(
                "task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}}
            )
            done = all(task["state"]["type"] not in ("PENDING", "RUNNING") for task in tasks)
            return tasks if done else []

        tasks = wait_until(final_tasks)
        return {task["name"]: task for task in sorted(tasks, key=lambda task: task["start_time"])}

    def states(self, run: dict[str, Any]) -> dict[str, str]:
        """Return the names of a flow run's task states by task."""
        return {name: task["state"]["name"] for name, task in self.tasks(run).items()}

    def lines(self, run: dict[str, Any]) -> str:
        """Return the messages that a flow run has logged, one per line."""
        logs = self.query("logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}}, limit=200)
        return "\n".join(log["message"] for log in sorted(logs, key=lambda log: log["timestamp"]))

    def artifacts(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return a flow run's artifacts by key."""
        artifacts = self.query("artifacts/filter", artifacts={"flow_run_id": {"any_": [run["id"]]}})
        return {artifact["key"]: artifact for artifact in artifacts}
