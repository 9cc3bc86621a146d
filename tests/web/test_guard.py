"""Who may use the server: this machine's names, its own page, programs; and what all answers bear."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from flows.web.guard import HEADERS
from petseg.inference import onnx_engine
from tests.prediction.red_model import METADATA, write_red_model
from tests.web.raw import connected, head, is_cut, read_answer, upload
from tests.web.server import PHOTO, Server, serving, serving_with_limits

ORIGIN = "https://masks.example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of this file, which is also reached under a name."""
    with serving(tmp_path_factory.mktemp("server"), "--origin", ORIGIN) as server:
        yield server


def status(server: Server, **headers: str) -> int:
    """Return the status of the answer to a photo with these headers."""
    with connected(server) as connection:
        connection.sendall(upload(PHOTO, **headers))
        return read_answer(connection).status


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8808", "localhost", "LocalHost:8808", "[::1]:8808"),
        *("192.168.1.20:8808", socket.gethostname(), "masks.example.org", "Masks.Example.org"),
    ],
)
def test_the_names_of_this_machine_and_of_its_proxy_are_served(server: Server, host: str) -> None:
    assert status(server, host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8808", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("127.0.0.1@evil.example", "", "[::1", "masks.example.org.evil.example"),
        *("masks.example.org:8808", "127.0.0.1 evil.example", "127.1"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_another_site_may_control_is_refused(
    server: Server, host: str, method: str
) -> None:
    with connected(server) as connection:
        connection.sendall(head("/health", method, host=host))
        answer = read_answer(connection)
    assert (answer.status, answer.headers["Content-Type"]) == (421, "application/problem+json")
    assert answer.detail == (
        f"this server does not answer for the host {host.lower()}; see `--origin`"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://masks.example.org"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://127.0.0.1", "Sec_Fetch_Site": "cross-site"},
    ],
    ids=str,
)
def test_a_page_of_another_site_cannot_post(server: Server, headers: Mapping[str, str]) -> None:
    with connected(server) as connection:
        connection.sendall(upload(PHOTO, host="127.0.0.1", **headers))
        answer = read_answer(connection)
    origin = headers.get("Origin") or "another site"
    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert answer.detail == f"pages of {origin} may not use this server; see `--origin`"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": ORIGIN, "Sec_Fetch_Site": "same-origin"},
        {"Origin": ORIGIN, "host": "masks.example.org"},
        {"Origin": "http://localhost:8808", "host": "localhost:8808"},
        {"Origin": "https://localhost:8808", "host": "localhost:8808"},
    ],
    ids=str,
)
def test_its_own_page_and_programs_can_post(server: Server, headers: Mapping[str, str]) -> None:
    assert status(server, **headers) == 200


def test_another_site_can_link_to_the_page(server: Server) -> None:
    response = server.get("/", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200


def test_a_preflight_of_another_site_is_refused(server: Server) -> None:
    with connected(server) as connection:
        more = {"Origin": "https://evil.example", "Access_Control_Request_Method": "POST"}
        connection.sendall(head(method="OPTIONS", **more))
        answer = read_answer(connection, "OPTIONS")
    assert answer.status == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (head("/", "GET"), 200),
        (head("/masks.js", "GET"), 200),
        (head("/openapi.json", "GET"), 200),
        (head("/health", "HEAD"), 200),
        (upload(), 200),
        (upload(path="/mask?answer=json"), 200),
        (upload(path="/mask?kind=x"), 400),
        (b"nonsense\r\n\r\n", 400),
        (upload(Origin="https://evil.example"), 403),
        (head("/nothing", "GET"), 404),
        (head("/mask", "GET"), 405),
        (head(Content_Length=1 << 30), 413),
        (head("/", "GET", host="evil.example"), 421),
        (upload(b"no picture"), 422),
    ],
)
def test_every_answer_has_the_security_headers_once(
    server: Server, request_: bytes, expected: int
) -> None:
    with connected(server) as connection:
        connection.sendall(request_)
        answer = read_answer(connection, request_.partition(b" ")[0].decode())
    assert answer.status == expected
    for name, value in HEADERS.items():
        assert answer.headers.get_all(name) == [value]
    assert answer.headers.get_all("Server") is None


def test_the_content_policy_allows_this_server_alone_and_no_code_in_the_page() -> None:
    directives = dict(
        directive.strip().partition(" ")[::2]
        for directive in HEADERS["Content-Security-Policy"].split(";")
    )
    assert directives.pop("img-src") == "'self' blob: data:"
    assert directives["default-src"] == "'none'"
    assert set(directives.values()) == {"'none'", "'self'"}


def test_the_answer_for_too_many_connections_has_the_security_headers(tmp_path: Path) -> None:
    with (
        serving_with_limits(tmp_path, connections=1) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        for connection in (first, second):
            connection.sendall(head("/health", "GET"))
        assert read_answer(first).status == 200
        answer = read_answer(second)
    assert answer.status == 503
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def write_failing_model(path: Path) -> None:
    """Write a model that can be loaded, and fails on every photo."""
    write_red_model(path)
    model = onnx.load(path)
    shape = helper.make_node("Shape", ["photos"], ["shape"])
    reshape = helper.make_node("Reshape", ["number", "shape"], ["probabilities"])
    nodes = [*list(model.graph.node)[:2], shape, reshape]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        nodes, "fails", model.graph.input, [output], list(model.graph.initializer)
    )
    failing = helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
    helper.set_model_props(failing, {onnx_engine.PROPERTY: onnx_engine.to_property(METADATA)})
    onnx.save(failing, path)


def test_a_fault_of_the_server_is_a_problem_too_and_the_server_goes_on(tmp_path: Path) -> None:
    write_failing_model(tmp_path / "model.onnx")
    with serving(tmp_path) as server:
        for _ in range(3):
            response = server.post()
            assert response.status_code == 500
            assert response.json()["detail"] == (
                "the server failed on this request; its log says where"
            )
            assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert server.photos() == 0
        assert "cannot be reshaped" in server.log()


def test_what_is_no_http_is_answered_and_closed(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"\x16\x03\x01 hello, this is TLS\r\n\r\n")
        answer = read_answer(connection)
        assert (answer.status, answer.detail) == (400, "this is no HTTP request")
        assert is_cut(connection)
    assert "Traceback" not in server.log()


def test_a_head_without_end_is_refused(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(method="GET", X=b"x" * 70_000)[:-4])
        assert read_answer(connection).status == 400
