"""The flow `predict` on a real Prefect server: what it predicts, shows, leaves and survives."""

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from tests.flows.prefect_server import Server, wait_until
from tests.prediction.red_model import as_bytes, noise_photo, save_photo, write_red_model

RUNNER = """import json, os, sys
from flows import predict
for line in sys.stdin:
    folder, predict.SETTLE_SECONDS, parameters = json.loads(line)
    os.chdir(folder)
    predict.predict(**parameters, return_state=True)
    print("end", flush=True)
"""  # runs the flow for each line, without the three seconds that every start takes
MANY = 60  # photos that take some seconds


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a model to which red is the probability."""
    monkeypatch.chdir(tmp_path)
    write_red_model(Path("model.onnx"))
    return tmp_path


def start(server: Server) -> subprocess.Popen[str]:
    """Start a process that runs the flow for each line that it reads."""
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        env=server.client,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def send(process: subprocess.Popen[str], settle_seconds: int = 0, **parameters: Any) -> None:
    """Let a process run the flow; photos need not rest unless a test says so."""
    parameters = {"folder": "in", "out": "out", "model": "model.onnx"} | parameters
    assert process.stdin
    process.stdin.write(json.dumps([str(Path.cwd()), settle_seconds, parameters]) + "\n")
    process.stdin.flush()


Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(server: Server) -> Iterator[Run]:
    """Run the flow to its end in a process that lives as long as the tests; return its flow run."""

    def run_flow(**parameters: Any) -> dict[str, Any]:
        send(process, **parameters)
        assert process.stdout
        lines = list(iter(process.stdout.readline, "end\n"))
        assert process.poll() is None, lines
        return server.last_run()

    with start(server) as process:
        yield run_flow
        assert process.stdin
        process.stdin.close()


def table(server: Server, flow_run: dict[str, Any], key: str = "masks") -> list[dict[str, Any]]:
    """Return the rows of a table artifact."""
    rows: list[dict[str, Any]] = json.loads(server.artifacts(flow_run)[key]["data"])
    return rows


def counts(server: Server, flow_run: dict[str, Any]) -> dict[str, int]:
    """Return how many photos had which outcome, without those that none had."""
    rows = table(server, flow_run)
    return {row["outcome"]: row["photos"] for row in rows if row["photos"]}


def contents() -> dict[str, bytes]:
    """Return the bytes of every file below the folder for outputs."""
    return {str(path): path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


def times() -> dict[str, int]:
    """Return when each mask was written."""
    return {str(path): path.stat().st_mtime_ns for path in Path("out").rglob("*.mask.png")}


def save_many() -> None:
    """Save photos that take a while."""
    data = as_bytes(noise_photo((2000, 2000)), "JPEG")
    Path("in").mkdir()
    for number in range(MANY):
        Path(f"in/{number:02}.jpg").write_bytes(data)


def wait_for_masks(process: subprocess.Popen[str], count: int) -> None:
    """Wait until a running flow has written some masks."""
    wait_until(lambda: process.poll() is not None or len(times()) >= count)
    assert process.poll() is None


def test_a_run_has_a_task_per_shard_and_shows_what_became_of_the_photos(
    server: Server, run: Run
) -> None:
    for name, red in (("sure", 255), ("a/fair", 230), ("unsure", 153), ("worst", 140)):
        save_photo(Path(f"in/{name}.jpg"), red=red)
    Path("in/bad.jpg").write_bytes(b"no photo")
    flow_run = run(shard_size=2)
    assert flow_run["state"]["message"] == "4 done, 1 refused, 2 doubtful"
    states = server.states(flow_run)
    assert states == {f"shard {number} of 3": "Completed" for number in (1, 2, 3)}
    assert counts(server, flow_run) == {"done": 4, "refused": 1, "doubtful": 2}
    reason = "photo cannot be decoded: cannot identify image file"
    assert table(server, flow_run, "refused") == [{"photo": "in/bad.jpg", "reason": reason}]
    # A mask of 0.6 everywhere has an expected IoU of 0.6, and one of 140/255 of 0.549.
    worst = {"photo": "in/worst.jpg", "expected IoU": 0.549}
    unsure = {"photo": "in/unsure.jpg", "expected IoU": 0.6}
    assert table(server, flow_run, "doubtful") == [worst, unsure]
    artifacts = server.artifacts(flow_run)
    assert artifacts["progress"]["data"] == 100.0
    start_of_uri, data = artifacts["least-sure"]["data"].split(",")
    assert start_of_uri == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).width > 1000  # four tiles
    assert "in/bad.jpg: photo cannot be decoded" in wait_until(lambda: server.lines(flow_run))
    masks = ("a/fair", "doubtful/unsure", "doubtful/worst", "sure")
    assert set(contents()) == {f"out/{m}.mask.png" for m in masks} | {"out/results.csv"}
    before = times()
    again = run()
    assert again["state"]["message"] == "4 up to date, 1 refused"
    Path("in/bad.jpg").unlink()
    last = run()
    assert last["state"]["name"] == "Nothing new"
    assert last["state"]["message"] == "nothing new: 4 up to date"
    assert times() == before


def test_only_changed_photos_at_rest_are_new_and_another_model_only_with_redo(
    server: Server,
    run: Run,
) -> None:
    for name in ("older", "touched", "same"):
        os.utime(save_photo(Path(f"in/{name}.jpg")), (1, 1))  # as `cp -p` keeps an old time
    too_new = run(settle_seconds=600)
    assert too_new["state"]["message"] == "nothing new: 3 still being written"
    assert times() == {}
    run()
    before = times()
    older = save_photo(Path("older.jpg"), red=255)
    os.utime(older, (1, 1))
    older.rename("in/older.jpg")  # as `mv` does, which keeps the time of 1970
    Path("in/touched.jpg").touch()
    flow_run = run()
    assert counts(server, flow_run) == {"done": 1, "up to date": 2}
    assert {path for path, time in times().items() if before[path] != time} == {
        "out/older.mask.png"
    }
    write_red_model(Path("model.onnx"), threshold=0.9)
    before = times()
    other_model = run()
    assert other_model["state"]["name"] == "Nothing new"
    assert other_model["state"]["message"] == (
        "nothing new: 3 up to date, 3 by another model, the parameter `redo` predicts those of "
        "another model again"
    )
    assert times() == before
    assert counts(server, run(redo=True)) == {"done": 3, "doubtful": 2}
    assert min(times().values()) > max(before.values())


def test_two_runs_at_once_predict_each_photo_once(server: Server) -> None:
    save_many()
    with start(server) as first:
        send(first)
        wait_for_masks(first, 2)
        first.send_signal(signal.SIGSTOP)  # until the second run waits for it
        with start(server) as second:
            send(second)
            assert second.stdout
            lines = iter(second.stdout.readline, "end\n")
            waiting = next((line for line in lines if "waiting" in line), "")
            first.send_signal(signal.SIGCONT)
            outputs = first.communicate()[0], second.communicate()[0]
    assert f"waiting: another run writes out/results.csv (PID {first.pid}, since " in waiting
    assert f"{MANY} done" in outputs[0]
    assert f"nothing new: {MANY} up to date" in outputs[1]


def test_a_run_that_was_ended_goes_on_to_the_same_bytes(server: Server, run: Run) -> None:
    save_many()
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = len(times())
        with start(server) as process:
            send(process)
            wait_for_masks(process, before + 12)
            process.send_signal(number)
            process.communicate(timeout=60)
        assert process.returncode != 0
        assert before + 12 <= len(times()) < MANY
        assert Path("out/results.unfinished.csv").exists()
    last = counts(server, run())
    assert last["done"] + last["up to date"] == MANY
    assert last["up to date"] >= 12  # of each of the two, all but the few that were under way
    result = contents()
    assert len(result) == MANY + 1
    shutil.rmtree("out")
    run()
    assert contents() == result


def test_a_fault_fails_the_run_in_one_line(server: Server, run: Run) -> None:
    Path("in").mkdir()
    faults = ({"folder": "none"}, {"model": "none.onnx"}, {"out": "model.onnx/out"})
    runs = [run(**fault) for fault in faults]
    assert [flow_run["state"]["type"] for flow_run in runs] == ["FAILED"] * 3
    none, no_model, unwritable = (flow_run["state"]["message"] for flow_run in runs)
    assert none.startswith("none: no such folder; create it with `mkdir -p none` and put photos")
    assert no_model.startswith("none.onnx: no model is there; `dvc repro export` makes")
    assert unwritable.startswith("model.onnx/out: outputs cannot be written there")
    assert not any("\n" in message for message in (none, no_model, unwritable))


def call(server: Server, *command: str) -> str:
    """Run a command that uses the server; return what it prints."""
    process = subprocess.run(
        command, env=server.client, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_the_deployment_predicts_every_five_minutes_one_run_at_a_time_and_can_be_cancelled(
    server: Server, steps: Path
) -> None:
    for path in ("data/export", "data/inbox"):
        (steps / path).mkdir(parents=True)
    write_red_model(steps / "data/export/model.onnx")
    photo = steps / "photo.jpg"
    photo.write_bytes(as_bytes(noise_photo((2000, 2000)), "JPEG"))
    for number in range(1000):
        Path(f"data/inbox/{number}.jpg").symlink_to(photo)
    save_photo(Path("data/inbox/last.jpg"), red=255)

    call(server, "prefect", "work-pool", "create", "petseg", "--type", "process")
    call(server, "prefect", "--no-prompt", "deploy", "--all")
    names = {deployment["name"] for deployment in server.query("deployments/filter")}
    assert names == {"weekly", "inbox"}
    (inbox,) = server.query("deployments/filter", deployments={"name": {"any_": ["inbox"]}})
    (schedule,) = inbox["schedules"]
    assert (schedule["active"], schedule["schedule"]["interval"]) == (True, 300.0)
    assert inbox["global_concurrency_limit"]["limit"] == 1
    assert inbox["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    properties = inbox["parameter_openapi_schema"]["properties"]
    assert {"folder", "out", "kinds", "model", "redo"} < set(properties)
    assert all(parameter["description"] for parameter in properties.values())
    address = f"deployments/{inbox['id']}"
    requests.patch(
        f"{server.api}/{address}/schedules/{schedule['id']}", json={"active": False}, timeout=30
    ).raise_for_status()

    def masks() -> list[Path]:
        return list(Path("data/masks").rglob("*.mask.png"))

    worker = subprocess.Popen(
        ["prefect", "worker", "start", "--pool", "petseg"],
        env=server.client,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # At first the photos are too new; a run that starts later predicts them.
        wait_until(lambda: time.time() - Path("data/inbox/last.jpg").stat().st_ctime > 10)
        first = server.query(f"{address}/create_flow_run")
        wait_until(lambda: len(masks()) >= 12)
        server.query(f"{address}/create_flow_run")
        state = {"state": {"name": {"any_": ["Cancelled"]}}}
        (second,) = wait_until(lambda: server.query("flow_runs/filter", flow_runs=state))
        assert "concurrency limit" in second["state"]["message"].lower()
        server.query(f"flow_runs/{first['id']}/set_state", state={"type": "CANCELLING"})
        wait_until(lambda: len(server.query("flow_runs/filter", flow_runs=state)) == 2)
        names = {path.name.partition(".")[0] for path in masks()}
        assert 12 <= len(names) < 1000
        assert Path("data/masks/results.unfinished.csv").exists()
        for other in Path("data/inbox").iterdir():
            if other.stem not in {*names, "last"}:
                other.unlink()
        call(server, "prefect", "deployment", "run", "predict/inbox", "--watch")
        last = counts(server, server.last_run())
        assert last["done"] + last["up to date"] == len(names) + 1
        assert 1 <= last["done"] <= len(names) - 8
        assert Path("data/masks/last.mask.png").exists()
    finally:
        worker.kill()  # SIGTERM is not enough: after a cancelled run it sometimes never ends.
        worker.wait()
