"""The flow on a real Prefect server, with real workers, real processes and real signals."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import replace, run_in
from tests.prefect_server import Server, free_port, until

SLOW = ("second: {seconds: 0, value: 0.2}", "second: {seconds: 600, value: 0.2}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server on loopback."""
    running = Server(tmp_path_factory.mktemp("prefect") / "home")
    running.start()
    yield running
    running.stop()


def start(server: Server, *command: str) -> subprocess.Popen[str]:
    """Start a command here that talks to the server."""
    return subprocess.Popen(
        command,
        env=server.client,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def call(server: Server, *command: str, fails: bool = False) -> str:
    """Run a command here that talks to the server; return what it prints."""
    with start(server, *command) as process:
        said = process.communicate(timeout=180)[0]
    assert (process.returncode != 0) == fails, said
    return said


def processes(text: str) -> list[psutil.Process]:
    """Return the processes that work in this folder with this text in their command."""
    found = []
    for process in psutil.process_iter():
        try:
            here = process.cwd() == str(Path.cwd()) and text in " ".join(process.cmdline())
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def second_works() -> bool:
    """Return whether the stage `second` is at work here."""
    log = Path("data/logs/second.log")
    return bool(processes("step.py second")) and "second starts" in log.read_text()


@pytest.fixture
def ended(steps: Path) -> Iterator[None]:
    """End whatever a test leaves working in its folder."""
    assert steps == Path.cwd()
    yield
    for process in processes(""):
        if process.pid != os.getpid():
            process.kill()


def test_the_whole_pipeline_is_a_task_per_stage_with_logs_and_artifacts(
    server: Server, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    replace(repo / "params.yaml", "epochs: 2", "epochs: 3")
    said = call(server, "petseg", "run")
    assert said.splitlines()[-1].startswith("download unchanged, preprocess unchanged, train ran")
    run = server.last_run()
    assert server.states(run) == {
        "download": "Unchanged",
        "preprocess": "Unchanged",
        "train": "Ran",
        "evaluate": "Ran",
        "report": "Ran",
    }
    lines = until(lambda: lines if "report: reports" in (lines := server.lines(run)) else "")
    assert re.search(r"epoch +3/3 +loss 0\.\d+", lines)
    assert "git add" not in lines
    left = server.artifacts(run)
    plan = json.loads(left["plan"]["data"])
    assert plan[2]["because"] == "train.epochs 2 → 3"
    assert [row["outcome"] for row in json.loads(left["stages"]["data"])][:3] == [
        "Unchanged",
        "Unchanged",
        "Ran",
    ]
    metrics = {row["metric"]: row for row in json.loads(left["metrics"]["data"])}
    now = json.loads(Path("reports/metrics.json").read_text())
    before = json.loads(run_in(repo, "git", "show", "HEAD:reports/metrics.json"))
    assert metrics["dice"]["now"] == now["dice"]
    assert metrics["dice"]["difference"] == f"{now['dice'] - before['dice']:+.4f}"
    assert metrics["official_data"]["difference"] == ""
    assert left["curves"]["data"].startswith("data:image/svg+xml;base64,")
    assert left["worst-photos"]["data"].startswith("data:image/png;base64,")
    assert str(repo / "reports/report.html") in left["report"]["data"]
    assert call(server, "petseg", "run").endswith("nothing changed\n")
    assert set(server.artifacts(server.last_run())) == {"plan", "stages"}


def test_a_stage_added_to_dvc_yaml_is_a_task_and_old_results_are_restored(
    server: Server, steps: Path
) -> None:
    with (steps / "dvc.yaml").open("a") as file:
        file.write("  last:\n    cmd: echo hello\n    deps: [reports/metrics.json]\n")
    call(server, "petseg", "run")
    unchanged = dict.fromkeys(["first", "second", "third"], "Unchanged")
    assert server.states(server.last_run()) == unchanged | {"last": "Ran"}
    replace(steps / "params.yaml", "value: 0.2", "value: 0.25")
    call(server, "petseg", "run", "second")
    assert server.states(server.last_run()) == {"first": "Unchanged", "second": "Ran"}
    replace(steps / "params.yaml", "value: 0.25", "value: 0.2")
    call(server, "petseg", "run", "second")
    assert server.states(server.last_run())["second"] == "Restored"
    call(server, "petseg", "run", "--force")
    assert set(server.states(server.last_run()).values()) == {"Ran"}


def test_a_failing_stage_ends_the_run_with_its_last_lines_and_the_next_one_goes_on(
    server: Server, steps: Path
) -> None:
    replace(steps / "params.yaml", "value: 0.1", "value: 0.11")
    replace(steps / "params.yaml", "value: 0.2", "value: -1")
    said = call(server, "petseg", "run", fails=True)
    assert "Traceback" not in said
    run = server.last_run()
    assert server.states(run) == {"first": "Ran", "second": "Failed"}
    assert run["state"]["type"] == "FAILED"
    assert "second: a negative value cannot be written" in run["state"]["message"]
    assert "data/logs/second.log" in run["state"]["message"]
    replace(steps / "params.yaml", "value: -1", "value: 0.2")
    call(server, "petseg", "run")
    assert server.states(server.last_run())["first"] == "Unchanged"


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_petseg_run_ends_the_stage_and_the_next_run_goes_on(
    server: Server, steps: Path, sign: signal.Signals, code: int
) -> None:
    replace(steps / "params.yaml", *SLOW)
    with start(server, "petseg", "run") as process:
        until(second_works)
        began = time.monotonic()
        process.send_signal(sign)
        said = process.communicate(timeout=30)[0]
    assert time.monotonic() - began < 15
    assert process.returncode == code
    assert "Traceback" not in said
    assert processes("step.py") + processes("dvc") == []
    replace(steps / "params.yaml", SLOW[1], SLOW[0])
    call(server, "petseg", "run")


@pytest.mark.usefixtures("ended")
def test_a_second_run_waits_for_the_first_and_says_for_whom(server: Server, steps: Path) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 12, value: 0.2")
    with start(server, "petseg", "run") as first:
        until(second_works)
        said = call(server, "petseg", "run")
        first.communicate()
    assert f"waiting: another run works in this checkout (PID {first.pid}, since " in said
    assert said.endswith("nothing changed\n")


@pytest.mark.usefixtures("ended")
def test_a_run_waits_for_a_dvc_of_the_users(server: Server, steps: Path) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 12, value: 0.2")
    with start(server, "dvc", "repro", "second") as process:
        until(lambda: processes("step.py second"))
        said = call(server, "petseg", "run")
        process.communicate()
    assert re.search(rf"waiting: `dvc repro second` \(PID {process.pid}\) uses second.json", said)


@pytest.mark.usefixtures("ended")
def test_a_stage_waits_for_a_dvc_that_came_while_the_run_was_at_work(
    server: Server, steps: Path
) -> None:
    replace(steps / "params.yaml", "first: {seconds: 0, value: 0.1", "first: {seconds: 4, value: 1")
    replace(steps / "params.yaml", "third: {seconds: 0", "third: {seconds: 15")
    with start(server, "petseg", "run") as process:
        until(lambda: processes("step.py first"))
        with start(server, "dvc", "repro", "--single-item", "third") as other:
            said = process.communicate()[0]
            other.communicate()
    assert "waiting: `dvc repro --single-item third`" in said
    assert process.returncode == 0, said


@pytest.mark.usefixtures("ended")
def test_a_server_that_goes_away_and_comes_back_costs_the_run_nothing(
    server: Server, steps: Path
) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 8, value: 0.25")
    with start(server, "petseg", "run") as process:
        until(second_works)
        server.stop()
        until(lambda: "second ends" in Path("data/logs/second.log").read_text())
        server.start()
        said = process.communicate()[0]
    assert process.returncode == 0, said
    assert server.last_run()["state"]["type"] == "COMPLETED"
    assert json.loads(Path("data/second.json").read_text()) == {"iou": 0.25}


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    "address", ["", f"http://127.0.0.1:{free_port()}/api"], ids=["none set", "none answers"]
)
def test_without_a_server_the_run_works_quietly_and_says_how_to_get_the_ui(
    server: Server, steps: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(server.home))  # its database is there already
    if address:
        monkeypatch.setenv("PREFECT_API_URL", address)
    replace(steps / "params.yaml", "value: 0.3", "value: 0.35")
    said = run_in(steps, "petseg", "run")
    assert "this run starts a temporary one" in said
    assert "prefect server start" in said
    assert "Traceback" not in said
    assert "locked" not in said
    assert said.endswith("first unchanged, second unchanged, third ran\n")
    wrong = run_in(steps, "petseg", "run", "--recipe", "nowhere", fails=True)
    assert wrong.startswith("error: params.yaml: recipe: nowhere does not exist; allowed: tiny")


@pytest.fixture
def worker(server: Server, steps: Path) -> Iterator[subprocess.Popen[str]]:
    """Deploy from the checkout as the README says, and start a worker."""
    assert steps == Path.cwd()
    call(server, "prefect", "work-pool", "create", "petseg", "--type", "process", "--overwrite")
    call(server, "prefect", "--no-prompt", "deploy", "--all")
    process = subprocess.Popen(
        ["prefect", "worker", "start", "--pool", "petseg"],
        env=server.client,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.kill()  # asked to end, it sometimes waits for ever, after a cancelled run
    process.wait()


def trigger(server: Server, *parameters: str) -> dict[str, Any]:
    """Start a run of the deployment; return it once it has ended."""
    options = [option for parameter in parameters for option in ("--param", parameter)]
    with start(
        server, "prefect", "deployment", "run", "retrain/weekly", *options, "--watch"
    ) as run:
        print(run.communicate(timeout=180)[0])
    ended = server.last_run()
    print(ended["state"]["message"], server.lines(ended), sep="\n")
    return ended


@pytest.mark.usefixtures("ended", "worker")
def test_a_deployment_follows_its_upstream_proposes_and_says_when_nothing_changed(
    server: Server, upstream: Path, steps: Path
) -> None:
    deployment = server.ask("deployments/filter")[0]
    schedule = deployment["schedules"][0]
    assert (schedule["active"], schedule["schedule"]["cron"]) == (True, "0 3 * * 1")
    assert schedule["schedule"]["timezone"] == "Etc/UTC"
    described = deployment["parameter_openapi_schema"]["properties"]
    assert set(described) == {"recipe", "targets", "force", "propose"}
    assert all(parameter["description"] for parameter in described.values())
    refused = call(
        server, "prefect", "deployment", "run", "retrain/weekly", "-p", "recipe=a b", fails=True
    )
    assert "Validation failed for field 'recipe'" in " ".join(refused.split())
    planned = until(
        lambda: server.ask(
            "flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}
        )
    )
    assert planned[0]["auto_scheduled"]

    assert trigger(server)["state"]["name"] == "Nothing changed"
    replace(upstream / "params.yaml", "value: 0.3", "value: 0.4")
    run_in(upstream, "git", "commit", "-qam", "a better value")
    run_in(upstream, "git", "push", "-q")
    run = trigger(server)
    assert run["state"]["type"] == "COMPLETED"
    assert server.states(run)["third"] == "Ran"
    assert "fast-forwarded to" in until(lambda: server.lines(run))
    assert run_in(steps, "git", "status", "--short", "--untracked-files=no") == ""
    assert "retrain/tiny-" in run_in(upstream, "git", "ls-remote", "origin")

    replace(steps / "step.py", "starts", "begins")
    run = trigger(server)
    assert run["state"]["type"] == "FAILED"
    assert "these files differ from it: step.py" in run["state"]["message"]


@pytest.mark.usefixtures("ended")
def test_cancelling_a_deployments_run_ends_its_stage_within_fifteen_seconds(
    server: Server, worker: subprocess.Popen[str], steps: Path
) -> None:
    replace(steps / "params.yaml", *SLOW)
    call(server, "prefect", "deployment", "run", "retrain/weekly", "--param", "propose=false")
    until(second_works)
    began = time.monotonic()
    call(server, "prefect", "flow-run", "cancel", server.last_run()["id"])
    until(lambda: not processes("step.py") + processes("dvc"), 15)
    until(lambda: server.last_run()["state"]["type"] == "CANCELLED", 30)
    assert time.monotonic() - began < 30
    replace(steps / "params.yaml", SLOW[1], SLOW[0])
    assert trigger(server, "propose=false")["state"]["type"] == "COMPLETED"
    assert worker.poll() is None


@pytest.mark.usefixtures("ended")
def test_after_sigkill_of_worker_and_flow_the_next_run_waits_for_the_stage_that_survived(
    server: Server, worker: subprocess.Popen[str], steps: Path
) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 15, value: 0.2")
    call(server, "prefect", "deployment", "run", "retrain/weekly", "--param", "propose=false")
    until(second_works)
    stage = processes("step.py second")[0]
    survivor = os.getpgid(stage.pid)
    for process in (psutil.Process(survivor).parent(), psutil.Process(worker.pid)):
        assert process
        process.kill()
    said = call(server, "petseg", "run")
    assert f"waiting: stage second of a run that was killed still works as PID {survivor}" in said
    assert f"`kill -TERM -- -{survivor}` ends it" in said
    assert server.states(server.last_run())["second"] == "Unchanged"  # it had finished by itself


@pytest.mark.usefixtures("ended")
def test_a_served_schedule_survives_the_restart_of_its_process(server: Server) -> None:
    def schedules() -> list[dict[str, Any]]:
        found = server.ask("deployments/filter", deployments={"name": {"any_": ["serve"]}})
        return found[0]["schedules"] if found and found[0]["status"] == "READY" else []

    said = call(server, "petseg", "serve", "--cron", "every day", fails=True)
    assert said.startswith("error: --cron")
    for _ in range(2):
        with start(
            server, "petseg", "serve", "--cron", "30 4 * * *", "--timezone", "Asia/Tokyo"
        ) as it:
            served = until(schedules)
            assert [schedule["schedule"]["cron"] for schedule in served] == ["30 4 * * *"]
            assert served[0]["schedule"]["timezone"] == "Asia/Tokyo"
            it.terminate()
            said = it.communicate()[0]
        assert "Traceback" not in said
        found = server.ask("deployments/filter", deployments={"name": {"any_": ["serve"]}})
        assert found[0]["schedules"][0]["active"]
        assert not found[0]["paused"]
