"""`petseg try` in a process of its own: what it prints, where it listens, and how it ends."""

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from tests.conftest import ENVIRONMENT
from tests.prediction.red_model import as_bytes, noise_photo, write_red_model
from tests.web.raw import connected, head, is_cut, read_answer, upload
from tests.web.server import Server, serving, serving_with_limits

LARGE = as_bytes(noise_photo((4000, 2000)), "JPEG")  # works for a second
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def outcome(folder: Path, *options: str) -> tuple[int, str, str]:
    """Run the command where it fails; return its exit code and what it prints."""
    done = subprocess.run(
        ["petseg", "try", *options],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=10,
    )
    return done.returncode, done.stdout, done.stderr


def hosts(server: Server) -> set[str]:
    """Return the addresses of this machine that the server listens on."""
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    return {entry.laddr.ip for entry in connections if entry.status == psutil.CONN_LISTEN}


def test_it_listens_on_this_machine_alone_and_says_where(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert hosts(server) == {"127.0.0.1"}
        assert server.address == f"http://127.0.0.1:{server.port}"
        assert server.log() == (
            f"model {server.model}, recipe red, 16 px; endpoint and its documentation: "
            f"{server.address}/docs; Ctrl-C ends it\n"
        )


def test_a_server_that_others_can_reach_prints_a_warning(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as server:  # noqa: S104
        assert hosts(server) == {"0.0.0.0"}  # noqa: S104
        warning = server.log().splitlines()[1]
    assert warning.startswith("warning: other machines can reach this server. It has no accounts")


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_ends_it_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        assert server.post().status_code == 200
        with connected(server):  # an idle connection does not hold it up
            server.process.send_signal(number)
            assert server.process.wait(5) == STATUS[number]
        assert len(server.log().splitlines()) == 1
        assert server.process.stdout
        assert server.process.stdout.read() == ""


@pytest.mark.parametrize("number", STATUS)
def test_the_photo_under_way_is_answered_before_it_ends(
    tmp_path: Path, number: signal.Signals
) -> None:
    responses: list[requests.Response] = []
    with serving(tmp_path) as server:
        client = threading.Thread(
            target=lambda: responses.append(server.post(LARGE, "?kind=cutout"))
        )
        client.start()
        while not server.photos():
            pass
        server.process.send_signal(number)
        client.join(30)
        assert [response.status_code for response in responses] == [200]
        assert server.process.wait(5) == STATUS[number]
        assert len(server.log().splitlines()) == 1


def test_an_upload_that_stands_still_is_refused_when_the_server_ends(tmp_path: Path) -> None:
    with serving_with_limits(tmp_path, end_seconds=1) as server, connected(server) as connection:
        connection.sendall(head(Content_Length=1000) + b"x")
        while server.get("/health").status_code != 200:
            pass
        server.process.send_signal(signal.SIGTERM)
        answer = read_answer(connection)
        assert (answer.status, answer.detail) == (
            503,
            "the server is busy: it is about to end; try again in a second",
        )
        assert server.process.wait(10) == 143
        assert "Traceback" not in server.log()


def test_a_client_that_does_not_take_its_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving_with_limits(tmp_path, end_seconds=1) as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        pixels = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
        connection.sendall(upload(as_bytes(Image.fromarray(pixels)), "/mask?kind=cutout"))
        assert connection.recv(12) == b"HTTP/1.1 200"  # the rest has 7 MB, and is left there
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 143
        assert "Traceback" not in server.log()


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server, connected(server) as connection:
        connection.sendall(head(Content_Length=1000) + b"x")
        assert server.get("/health").ok
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for the upload
            server.process.wait(0.5)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == 130
        assert "Traceback" not in server.log()
        is_cut(connection)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    model = write_red_model(tmp_path / "model.onnx")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert outcome(tmp_path, "--model", str(model), "--port", str(port)) == (
            1,
            "",
            f"error: 127.0.0.1:{port} cannot be listened on: Address already in use; choose "
            "another --port or --host\n",
        )


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ("--port 99999", 1, "127.0.0.1:99999 cannot be listened on: "),
        ("--port -1", 1, "127.0.0.1:-1 cannot be listened on: "),
        ("--host 198.51.100.7", 1, "198.51.100.7:8808 cannot be listened on: Cannot assign"),
        ("--host no.such.host.invalid", 1, "no.such.host.invalid:8808 cannot be listened on: "),
        (f"--host {'a' * 70}.example", 1, f"{'a' * 70}.example:8808 cannot be listened on: "),
        ("--model none.onnx", 1, "none.onnx: no model is there; `dvc repro export` makes"),
        ("--model .", 1, ". cannot be read: Is a directory"),
        ("--origin masks.example.org", 1, "--origin is masks.example.org; expected scheme, host"),
        ("--origin https://a.example/path", 1, "--origin is https://a.example/path; expected"),
        ("--origin https://", 1, "--origin is https://; expected scheme, host and port"),
        ("--origin http://[", 1, "--origin is http://[; expected scheme, host and port"),
        ("--port http", 2, 'Invalid value for --port: unable to convert "http" into int'),
        ("--hots x", 2, "--hots is unknown; options: --model, --host, --port, --origin, --help"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, options: str, code: int, text: str) -> None:
    model = write_red_model(tmp_path / "model.onnx")
    args = options.split()
    if "--model" not in options:
        args += ["--model", str(model)]
    status, out, err = outcome(tmp_path, *args)
    assert (status, out) == (code, "")
    assert err.startswith(f"error: {text}")
    assert len(err.splitlines()) == 1
