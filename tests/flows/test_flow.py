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

from petseg.review.compare import Verdict
from tests.conftest import replace, run_in
from tests.flows.prefect_server import Server, free_port, wait_until

SLOW = ("second: {seconds: 0, value: 0.2}", "second: {seconds: 600, value: 0.2}")


def start(server: Server, *command: str) -> subprocess.Popen[str]:
    """Start a command in the current folder that uses the server."""
    return subprocess.Popen(
        command,
        env=server.client,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def call(server: Server, *command: str, fails: bool = False) -> str:
    """Run a command in the current folder that uses the server; return what it prints."""
    with start(server, *command) as process:
        output = process.communicate(timeout=180)[0]
    assert (process.returncode != 0) == fails, output
    return output


def processes(text: str) -> list[psutil.Process]:
    """Return the running processes of this folder with this text in their command line."""
    matches = []
    for process in psutil.process_iter():
        try:
            match = process.cwd() == str(Path.cwd()) and text in " ".join(process.cmdline())
            if match and process.status() != psutil.STATUS_ZOMBIE:
                matches.append(process)
        except (psutil.Error, OSError):
            continue
    return matches


def second_is_running() -> bool:
    """Return whether the stage `second` is running in the current folder."""
    log = Path("data/logs/second.log")
    return bool(processes("step.py second")) and "second starts" in log.read_text()


@pytest.fixture
def end_processes(steps: Path) -> Iterator[None]:
    """End the processes that a test leaves running in its folder."""
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
    replace(repo / "params.yaml", "snapshots: 2\n  seed: 3", "snapshots: 2\n  seed: 4")
    output = call(server, "petseg", "run")
    assert output.splitlines()[-1].startswith("download unchanged, preprocess unchanged, train ran")
    run = server.last_run()
    assert server.states(run) == {
        "download": "Unchanged",
        "preprocess": "Unchanged",
        "train": "Ran",
        "export": "Ran",
        "evaluate": "Ran",
        "report": "Ran",
    }
    lines = wait_until(lambda: lines if "report: reports" in (lines := server.lines(run)) else "")
    assert re.search(r"epoch +3/3 +loss 0\.\d+", lines)
    assert "git add" not in lines
    artifacts = server.artifacts(run)
    plan = json.loads(artifacts["plan"]["data"])
    assert plan[2]["because"] == "train.epochs 2 → 3; train.seed 3 → 4"
    assert [row["outcome"] for row in json.loads(artifacts["stages"]["data"])][:3] == [
        "Unchanged",
        "Unchanged",
        "Ran",
    ]
    metrics = {row["metric"]: row for row in json.loads(artifacts["metrics"]["data"])}
    now = json.loads(Path("reports/metrics.json").read_text())
    before = json.loads(run_in(repo, "git", "show", "HEAD:reports/metrics.json"))
    assert metrics["dice"]["now"] == now["dice"]
    assert metrics["dice"]["last commit"] == before["dice"]
    difference = float(metrics["dice"]["difference"].replace("−", "-"))
    assert difference == pytest.approx(now["dice"] - before["dice"], abs=2e-4)
    assert metrics["dice"]["verdict"] in list(Verdict)
    review = run_in(repo, "petseg", "review", "HEAD")
    assert f"**{artifacts['metrics']['description']}**" in review
    assert artifacts["curves"]["data"].startswith("data:image/svg+xml;base64,")
    assert artifacts["worst-photos"]["data"].startswith("data:image/png;base64,")
    assert str(repo / "reports/report.html") in artifacts["report"]["data"]
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


def test_a_failing_stage_ends_the_run_with_its_last_lines_and_the_next_run_resumes(
    server: Server, steps: Path
) -> None:
    replace(steps / "params.yaml", "value: 0.1", "value: 0.11")
    replace(steps / "params.yaml", "value: 0.2", "value: -1")
    output = call(server, "petseg", "run", fails=True)
    assert "Traceback" not in output
    run = server.last_run()
    assert server.states(run) == {"first": "Ran", "second": "Failed"}
    assert run["state"]["type"] == "FAILED"
    assert "second: a negative value cannot be written" in run["state"]["message"]
    assert "data/logs/second.log" in run["state"]["message"]
    replace(steps / "params.yaml", "value: -1", "value: 0.2")
    call(server, "petseg", "run")
    assert server.states(server.last_run())["first"] == "Unchanged"


@pytest.mark.usefixtures("end_processes")
@pytest.mark.parametrize(
    ("signal_number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_to_petseg_run_ends_the_stage_and_the_next_run_resumes(
    server: Server, steps: Path, signal_number: signal.Signals, exit_code: int
) -> None:
    replace(steps / "params.yaml", *SLOW)
    with start(server, "petseg", "run") as process:
        wait_until(second_is_running)
        started = time.monotonic()
        process.send_signal(signal_number)
        output = process.communicate(timeout=30)[0]
    assert time.monotonic() - started < 15
    assert process.returncode == exit_code
    assert "Traceback" not in output
    assert processes("step.py") + processes("dvc") == []
    replace(steps / "params.yaml", SLOW[1], SLOW[0])
    call(server, "petseg", "run")


@pytest.mark.usefixtures("end_processes")
def test_a_second_run_waits_for_the_first_and_names_it(server: Server, steps: Path) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 12, value: 0.2")
    with start(server, "petseg", "run") as first:
        wait_until(second_is_running)
        output = call(server, "petseg", "run")
        first.communicate()
    assert f"waiting: another run works in this checkout (PID {first.pid}, since " in output
    assert output.endswith("nothing changed\n")


@pytest.mark.usefixtures("end_processes")
def test_a_run_waits_for_a_dvc_command_of_the_users(server: Server, steps: Path) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 12, value: 0.2")
    with start(server, "dvc", "repro", "second") as process:
        wait_until(lambda: processes("step.py second"))
        output = call(server, "petseg", "run")
        process.communicate()
    assert re.search(rf"waiting: `dvc repro second` \(PID {process.pid}\) uses second.json", output)


@pytest.mark.usefixtures("end_processes")
def test_a_stage_waits_for_a_dvc_command_that_the_user_started_during_the_run(
    server: Server, steps: Path
) -> None:
    replace(steps / "params.yaml", "first: {seconds: 0, value: 0.1", "first: {seconds: 4, value: 1")
    replace(steps / "params.yaml", "third: {seconds: 0", "third: {seconds: 15")
    with start(server, "petseg", "run") as process:
        wait_until(lambda: processes("step.py first"))
        with start(server, "dvc", "repro", "--single-item", "third") as other:
            output = process.communicate()[0]
            other.communicate()
    assert "waiting: `dvc repro --single-item third`" in output
    assert process.returncode == 0, output


@pytest.mark.usefixtures("end_processes")
def test_a_run_survives_a_server_that_stops_and_starts_again(server: Server, steps: Path) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 8, value: 0.25")
    with start(server, "petseg", "run") as process:
        wait_until(second_is_running)
        server.stop()
        wait_until(lambda: "second ends" in Path("data/logs/second.log").read_text())
        server.start()
        output = process.communicate()[0]
    assert process.returncode == 0, output
    assert server.last_run()["state"]["type"] == "COMPLETED"
    assert json.loads(Path("data/second.json").read_text()) == {"iou": 0.25}


@pytest.mark.usefixtures("end_processes")
@pytest.mark.parametrize(
    "address", ["", f"http://127.0.0.1:{free_port()}/api"], ids=["none set", "none answers"]
)
def test_a_run_works_without_a_server_and_says_how_to_get_the_ui(
    server: Server, steps: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(server.home))  # a home that already has a database
    if address:
        monkeypatch.setenv("PREFECT_API_URL", address)
    replace(steps / "params.yaml", "value: 0.3", "value: 0.35")
    output = run_in(steps, "petseg", "run")
    assert "this run starts a temporary one" in output
    assert "prefect server start" in output
    assert "Traceback" not in output
    assert "locked" not in output
    assert output.endswith("first unchanged, second unchanged, third ran\n")
    wrong = run_in(steps, "petseg", "run", "--recipe", "nowhere", fails=True)
    assert wrong.startswith("error: recipes/nowhere.yaml does not exist; recipes: other, tiny")


@pytest.fixture
def worker(server: Server, steps: Path) -> Iterator[subprocess.Popen[str]]:
    """Deploy from the checkout as the README says, and start a worker process."""
    assert steps == Path.cwd()
    call(server, "prefect", "work-pool", "create", "petseg", "--type", "process", "--overwrite")
    call(server, "prefect", "--no-prompt", "deploy", "--name", "weekly")
    process = subprocess.Popen(
        ["prefect", "worker", "start", "--pool", "petseg"],
        env=server.client,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.kill()  # SIGTERM is not enough: after a cancelled run it sometimes never ends.
    process.wait()


def run_deployment(server: Server, *parameters: str) -> dict[str, Any]:
    """Start a run of the deployment, wait for its end, and return it."""
    options = [option for parameter in parameters for option in ("--param", parameter)]
    with start(
        server, "prefect", "deployment", "run", "retrain/weekly", *options, "--watch"
    ) as run:
        print(run.communicate(timeout=180)[0])
    last = server.last_run()
    print(last["state"]["message"], server.lines(last), sep="\n")
    return last


@pytest.mark.usefixtures("end_processes", "worker")
def test_a_deployment_follows_its_upstream_proposes_and_says_when_nothing_changed(
    server: Server, upstream: Path, steps: Path
) -> None:
    deployment = server.query("deployments/filter")[0]
    schedule = deployment["schedules"][0]
    assert (schedule["active"], schedule["schedule"]["cron"]) == (True, "0 3 * * 1")
    assert schedule["schedule"]["timezone"] == "Etc/UTC"
    parameters = deployment["parameter_openapi_schema"]["properties"]
    assert set(parameters) == {"recipe", "targets", "force", "propose"}
    assert all(parameter["description"] for parameter in parameters.values())
    error = call(
        server, "prefect", "deployment", "run", "retrain/weekly", "-p", "recipe=a b", fails=True
    )
    assert "Validation failed for field 'recipe'" in " ".join(error.split())
    scheduled = wait_until(
        lambda: server.query(
            "flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}
        )
    )
    assert scheduled[0]["auto_scheduled"]

    assert run_deployment(server)["state"]["name"] == "Nothing changed"
    replace(upstream / "params.yaml", "value: 0.3", "value: 0.4")
    run_in(upstream, "git", "commit", "-qam", "a better value")
    run_in(upstream, "git", "push", "-q")
    run = run_deployment(server)
    assert run["state"]["type"] == "COMPLETED"
    assert server.states(run)["third"] == "Ran"
    assert "fast-forwarded to" in wait_until(lambda: server.lines(run))
    assert run_in(steps, "git", "status", "--short", "--untracked-files=no") == ""
    assert "retrain/tiny-" in run_in(upstream, "git", "ls-remote", "origin")

    replace(steps / "step.py", "starts", "begins")
    run = run_deployment(server)
    assert run["state"]["type"] == "FAILED"
    assert "these files differ from it: step.py" in run["state"]["message"]


@pytest.mark.usefixtures("end_processes")
def test_cancelling_a_deployments_run_ends_its_stage_within_fifteen_seconds(
    server: Server, worker: subprocess.Popen[str], steps: Path
) -> None:
    replace(steps / "params.yaml", *SLOW)
    call(server, "prefect", "deployment", "run", "retrain/weekly", "--param", "propose=false")
    wait_until(second_is_running)
    started = time.monotonic()
    call(server, "prefect", "flow-run", "cancel", server.last_run()["id"])
    wait_until(lambda: not processes("step.py") + processes("dvc"), 15)
    wait_until(lambda: server.last_run()["state"]["type"] == "CANCELLED", 30)
    assert time.monotonic() - started < 30
    replace(steps / "params.yaml", SLOW[1], SLOW[0])
    assert run_deployment(server, "propose=false")["state"]["type"] == "COMPLETED"
    assert worker.poll() is None


@pytest.mark.usefixtures("end_processes")
def test_after_sigkill_of_worker_and_flow_the_next_run_waits_for_the_stage_that_survived(
    server: Server, worker: subprocess.Popen[str], steps: Path
) -> None:
    replace(steps / "params.yaml", "seconds: 0, value: 0.2", "seconds: 15, value: 0.2")
    call(server, "prefect", "deployment", "run", "retrain/weekly", "--param", "propose=false")
    wait_until(second_is_running)
    stage = processes("step.py second")[0]
    group = os.getpgid(stage.pid)
    for process in (psutil.Process(group).parent(), psutil.Process(worker.pid)):
        assert process
        process.kill()
    output = call(server, "petseg", "run")
    assert f"waiting: stage second of a run that was killed still works as PID {group}" in output
    assert f"`kill -TERM -- -{group}` ends it" in output
    # The stage had finished without the flow that started it.
    assert server.states(server.last_run())["second"] == "Unchanged"


@pytest.mark.usefixtures("end_processes")
def test_a_served_schedule_survives_the_restart_of_its_process(server: Server) -> None:
    serve = {"name": {"any_": ["serve"]}}

    def schedules() -> list[dict[str, Any]]:
        deployments = server.query("deployments/filter", deployments=serve)
        ready = deployments and deployments[0]["status"] == "READY"
        return deployments[0]["schedules"] if ready else []

    output = call(server, "petseg", "serve", "--cron", "every day", fails=True)
    assert output.startswith("error: --cron")
    for _ in range(2):
        with start(
            server, "petseg", "serve", "--cron", "30 4 * * *", "--timezone", "Asia/Tokyo"
        ) as process:
            schedule, *others = wait_until(schedules)
            assert not others
            assert schedule["schedule"]["cron"] == "30 4 * * *"
            assert schedule["schedule"]["timezone"] == "Asia/Tokyo"
            process.terminate()
            output = process.communicate()[0]
        assert "Traceback" not in output
        deployment = server.query("deployments/filter", deployments=serve)[0]
        assert deployment["schedules"][0]["active"]
        assert not deployment["paused"]
