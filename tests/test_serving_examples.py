"""docs/serving.md states what the server does, and its examples work: curl, Python, systemd, nginx."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import requests
import trustme
from PIL import Image

from flows.web import answers, uploads
from flows.web.answers import Options
from flows.web.app import ANSWERS
from flows.web.limits import Limits
from petseg.data.photos import FORMATS, MAX_PIXELS, MAX_SCANS
from tests.flows.prefect_server import free_port, wait_until
from tests.prediction.red_model import as_bytes, half_red
from tests.test_docs import FENCE, ROOT, command_lines
from tests.web.server import serving

PAGE = (ROOT / "docs/serving.md").read_text()
UNIT = ROOT / "docs/petseg.service"
NGINX = ROOT / "docs/petseg-nginx.conf"
DEFAULT_ADDRESS = "http://127.0.0.1:8808"
MIB = 1 << 20
ACCOUNT = ("anna", "secret")
WIDTH, HEIGHT = 40, 30  # of the photo cat.jpg


def program(name: str, package: str) -> str:
    """Return the path of a program, which Debian may put where only root looks."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert path, f"no {name}: apt-get install {package}"
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    with serving(tmp_path_factory.mktemp("server")) as running_server:
        yield running_server.address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the photo of the examples, whose left half is red, and a file that is none."""
    photo = as_bytes(half_red(204, (WIDTH, HEIGHT)), "JPEG", quality=95)
    (tmp_path / "cat.jpg").write_bytes(photo)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


# What the page states


def test_the_table_of_limits_is_that_of_the_server() -> None:
    limits = Limits()
    rows = {
        "photo_bytes": f"a photo's file | {limits.photo_bytes // MIB} MiB",
        "bytes_in_memory": f"uploads and answers in memory, of all clients | {limits.bytes_in_memory // MIB} MiB",
        "photos": f"photos that are worked on or wait, of all clients | {limits.photos}",
        "connections": f"connections | {limits.connections}; up to {limits.connections} more are answered with status 503, further ones are cut",
        "header_seconds": f"from connecting until the head of a request is complete | {limits.header_seconds} s",
        "silent_seconds": f"between two parts of an upload | {limits.silent_seconds} s",
        "upload_seconds": f"a complete upload | {limits.upload_seconds} s",
        "work_seconds": f"from the complete upload until the answer begins | {limits.work_seconds} s",
        "answer_seconds": f"until the client has taken the answer | {limits.answer_seconds} s",
        "end_seconds": f"requests under way when the server is to end | {limits.end_seconds} s",
        "pixels": f"a photo's pixels | {MAX_PIXELS // 10**6} million; checked in the header, nothing is decoded",
        "scans": f"a JPEG's scans | {MAX_SCANS}; usual files have about ten",
        "runs": f"runs of a mask in JSON | {answers.MAX_RUNS:,}; ask for a smaller `size`, or for a picture",
        "formats": f"formats | {', '.join(FORMATS[:-1])} and {FORMATS[-1]}, whatever the name says",
    }
    others = {"pixels", "scans", "runs", "formats"}
    assert {field.name for field in fields(Limits)} | others == set(rows)
    section = PAGE.partition("\n## Limits\n")[2].partition("\n## ")[0]
    written = [line.strip("| ") for line in section.splitlines() if line.startswith("| ")]
    assert set(written[1:]) == set(rows.values())


def test_the_table_of_query_parameters_has_every_parameter_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]+) \|$", PAGE, re.MULTILINE))
    defaults = {name: field.default for name, field in Options.model_fields.items()}
    assert {name: rows[name].strip("`") for name in defaults} == {
        **defaults,
        "threshold": "the model's",  # None
        "size": "the photo's own size",  # None
    }


def test_the_table_of_errors_has_every_status_that_the_documentation_of_the_endpoint_has() -> None:
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|", PAGE, re.MULTILINE)
    statuses = {int(status) for row in rows for status in row.split(", ")}
    assert statuses >= {int(status) for status in ANSWERS} - {200}


# The examples for curl and Python


def test_every_curl_example_gets_what_it_asks_for(server: str, folder: Path) -> None:
    program("curl", "curl")
    lines = [line for line in command_lines(PAGE) if re.match("curl.*127", line)]
    outputs = [
        subprocess.run(
            ["bash", "-c", line.replace(DEFAULT_ADDRESS, server)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in lines
    ]
    assert len(lines) == 7
    assert {path.name for path in folder.iterdir()} == {
        *("cat.jpg", "README.md", "mask.png", "cat.png", "cat.webp")
    }
    with Image.open(folder / "mask.png") as mask, Image.open(folder / "cat.png") as cutout:
        assert (mask.mode, mask.size, cutout.mode) == ("L", (WIDTH, HEIGHT), "RGBA")
    by_line = dict(zip(lines, outputs, strict=True))
    (refusal,) = (json.loads(output) for line, output in by_line.items() if "README.md" in line)
    (example,) = re.findall(r'^{"type":.*}$', PAGE, re.MULTILINE)
    assert refusal.keys() == json.loads(example).keys()
    assert refusal["detail"] == json.loads(example)["detail"]  # the title differs between Pythons
    assert sum('"counts":[' in output for output in outputs) == 1
    assert sum('"by_level":{' in output for output in outputs) == 1


def test_the_python_examples_get_the_mask(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    blocks = [block for language, block in FENCE.findall(PAGE) if language == "python"]
    for block in blocks:
        exec(block.replace(DEFAULT_ADDRESS, server), names)  # noqa: S102
    answer = names["answer"]
    assert isinstance(answer, dict)
    mask = names["decode"](answer["mask"])  # type: ignore[operator]
    with Image.open("mask.png") as image:  # written by the last example
        np.testing.assert_array_equal(mask, np.asarray(image) == 255)
    assert (mask.shape, mask[:, : WIDTH // 2 - 2].all(), mask[:, WIDTH // 2 + 2 :].any()) == (
        (HEIGHT, WIDTH),
        True,
        False,
    )


# systemd


def test_systemd_accepts_every_line_of_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/petseg/bin/petseg", sys.executable)
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    analyze = program("systemd-analyze", "systemd")
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", unit],  # of 100; 0 is safest
        capture_output=True,
        text=True,
    )
    assert rated.returncode == 0, rated.stdout[-200:] + rated.stderr


def test_the_command_of_the_unit_starts_and_its_end_by_sigterm_is_a_success(
    tmp_path: Path,
) -> None:
    command = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)[0]
    words = shlex.split(command)
    assert words[:4] == ["/opt/petseg/bin/petseg", "try", "--model", "/opt/petseg/model.onnx"]
    with serving(tmp_path, *words[4:]) as running_server:
        assert running_server.get("/health", headers={"Host": "masks.example.org"}).ok
        running_server.process.send_signal(signal.SIGTERM)
        status = running_server.process.wait(timeout=30)
    assert f"\nSuccessExitStatus={status}\n" in UNIT.read_text()


# nginx


@dataclass(frozen=True)
class Proxy:
    """nginx with the example's configuration, in front of a server."""

    address: str  # https
    plain_address: str  # http
    authority: Path  # the certificate of who signed that of nginx
    disk: Path  # the folder for what nginx does not hold in memory


def replaced(text: str, **replacements: str) -> str:
    """Return a text with words replaced, each of which must be in it."""
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    return text


def write_configuration(folder: Path, server: str, ports: tuple[int, int]) -> Path:
    """Write a configuration of nginx that includes the example, with paths and ports of a test."""
    port, plain_port = ports
    (folder / "accounts").write_text("{}:{{PLAIN}}{}\n".format(*ACCOUNT))
    text = re.sub(r"^ *listen \[::\].*\n", "", NGINX.read_text(), flags=re.MULTILINE)
    text = replaced(
        text,
        **{
            "listen 443": f"listen 127.0.0.1:{port}",
            "listen 80": f"listen 127.0.0.1:{plain_port}",
            "/etc/letsencrypt/live/masks.example.org": str(folder),
            "/etc/nginx/petseg.htpasswd": str(folder / "accounts"),
            "masks.example.org": "localhost",
            DEFAULT_ADDRESS: server,
        },
    )
    (folder / "petseg.conf").write_text(text)
    # The folders are two levels deep: those of the first level stay when nginx removes a file.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/disk/{kind} 1;" for kind in kinds)
    (folder / "disk").mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; events {{}}"
        f"http {{ access_log off; {paths} include {folder}/petseg.conf; }}"
    )
    return configuration


@contextmanager
def nginx(configuration: Path) -> Iterator[None]:
    """Run nginx until the end of the block."""
    log = configuration.with_name("error.log")
    command = (program("nginx", "nginx-light"), "-e", log, "-c", configuration)
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    process = subprocess.Popen(command)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(timeout=30)


def is_open(port: int) -> bool:
    """Return whether something listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The example's nginx, with a certificate for localhost, in front of `petseg try`."""
    folder = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "fullchain.pem", append=True)
    ports = free_port(), free_port()
    address = f"https://localhost:{ports[0]}"
    with (
        serving(folder, "--origin", address) as running_server,
        nginx(write_configuration(folder, running_server.address, ports)),
    ):
        wait_until(lambda: is_open(ports[0]))
        plain = f"http://localhost:{ports[1]}"
        yield Proxy(address, plain, folder / "authority.pem", folder / "disk")


def post(proxy: Proxy, data: bytes, query: str = "", **headers: str) -> requests.Response:
    """Return the proxy's answer to a photo that a person with an account sends."""
    return requests.post(
        f"{proxy.address}/mask{query}",
        data=data,
        headers=headers,
        auth=ACCOUNT,
        verify=str(proxy.authority),
        timeout=60,
    )


PHOTO = as_bytes(half_red(204))


def test_a_photo_sent_over_https_gets_the_mask_that_the_server_gives(
    proxy: Proxy, server: str
) -> None:
    answer = post(proxy, PHOTO)
    direct = requests.post(f"{server}/mask", data=PHOTO, timeout=60)
    assert (answer.status_code, answer.headers["Foreground"]) == (200, "0.5000")
    assert answer.content == direct.content
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_of_the_proxy_may_post_and_that_of_another_site_may_not(proxy: Proxy) -> None:
    own = {"Origin": proxy.address, "Sec-Fetch-Site": "same-origin"}
    foreign = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
    assert post(proxy, PHOTO, **own).status_code == 200
    refusal = post(proxy, PHOTO, **foreign)
    assert (refusal.status_code, refusal.json()["title"]) == (403, "Forbidden")


@pytest.mark.parametrize("auth", [None, ("anna", "wrong"), ("berta", "secret")])
def test_without_the_right_password_nothing_answers(
    proxy: Proxy, auth: tuple[str, str] | None
) -> None:
    for path in ("/", "/mask", "/health", "/docs"):
        address = f"{proxy.address}{path}"
        answer = requests.get(address, auth=auth, verify=str(proxy.authority), timeout=60)
        assert answer.status_code == 401


def test_plain_http_leads_to_https(proxy: Proxy) -> None:
    address = f"{proxy.plain_address}/docs?a=b"
    answer = requests.get(address, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://localhost/docs?a=b")


def test_the_proxy_lets_a_photo_of_the_largest_size_through_and_the_server_refuses_one_byte_more(
    proxy: Proxy,
) -> None:
    padding = bytes(Limits().photo_bytes - len(PHOTO))
    assert post(proxy, PHOTO + padding).status_code == 200
    refusal = post(proxy, PHOTO + padding + b"\0")
    assert (refusal.status_code, refusal.headers["Content-Type"]) == (
        *(413, "application/problem+json"),
    )
    limit = int(re.findall(r"client_max_body_size (\d+)m;", NGINX.read_text())[0]) * MIB
    assert Limits().photo_bytes + uploads.FORM_BYTES <= limit <= Limits().photo_bytes + MIB


def test_nginx_writes_neither_photos_nor_answers_to_its_disk(proxy: Proxy) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1_700, 1_700, 3), dtype=np.uint8)
    pixels[..., 0] = 255  # red is pet, so the cut-out is as large as the photo
    photo = as_bytes(Image.fromarray(pixels), "BMP")
    answer = requests.post(
        f"{proxy.address}/mask?kind=cutout",
        data=photo,
        auth=ACCOUNT,
        verify=str(proxy.authority),
        stream=True,
        timeout=60,
    )
    time.sleep(1)  # a client that does not take its answer at once
    size = len(answer.content)
    assert (answer.status_code, len(photo) > 5e6, size > 5e6) == (200, True, True)
    assert [path for path in proxy.disk.rglob("*") if path.parent != proxy.disk] == []


def test_the_server_sees_the_name_that_a_request_is_for_and_refuses_a_foreign_one(
    proxy: Proxy,
) -> None:
    refusal = post(proxy, PHOTO, Host="other.example")
    assert (refusal.status_code, "other.example" in refusal.json()["detail"]) == (421, True)


def test_the_examples_of_systemd_nginx_and_page_name_one_address_and_one_port() -> None:
    origin = "https://masks.example.org"
    assert f"--origin {origin}\n" in UNIT.read_text()
    assert f"server_name {origin.removeprefix('https://')};" in NGINX.read_text()
    assert f"proxy_pass {DEFAULT_ADDRESS};" in NGINX.read_text()
    assert f"$ petseg try\n{DEFAULT_ADDRESS}\n" in PAGE
