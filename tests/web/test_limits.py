"""The limits: bytes, pixels, time, connections, photos that wait, memory; each refuses or cuts."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.prediction.red_model import as_bytes, half_red, noise_photo
from tests.web.raw import connected, head, is_cut, read_all, read_answer, upload
from tests.web.server import PHOTO, Server, serving_with_limits

LARGE = as_bytes(noise_photo((4000, 3000)), "JPEG")  # works for half a second
FORM = {"Content_Type": "multipart/form-data; boundary=x"}
FORM_START = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
TOO_LARGE = "photo has more than 200,000 bytes"
TOO_SLOW = "the upload is too slow, or stands still"
LONG = 20  # seconds, for what must end earlier


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits for all tests of this file that need no others."""
    with serving_with_limits(
        tmp_path_factory.mktemp("server"),
        photo_bytes=200_000,
        header_seconds=1,
        silent_seconds=1,
        upload_seconds=2,
        work_seconds=20,
        answer_seconds=2,
    ) as server:
        yield server
        assert server.photos() == 0
        assert len(server.log().splitlines()) == 1


def chunk(data: bytes) -> bytes:
    """Return a part of a body whose length was not announced."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def wait_for_photos(server: Server, count: int) -> None:
    """Wait until the server works on so many photos, or lets them wait."""
    deadline = time.monotonic() + LONG
    while server.photos() != count:
        assert time.monotonic() < deadline


def test_too_many_bytes_by_their_announcement_are_refused_before_they_come(
    server: Server,
) -> None:
    with connected(server) as connection:
        connection.sendall(head(Content_Length=200_001))
        answer = read_answer(connection)
    assert (answer.status, answer.detail) == (413, TOO_LARGE)


def test_a_client_that_waits_for_permission_is_refused_without_it(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(Content_Length=200_001, Expect="100-continue"))
        assert connection.recv(15) == b"HTTP/1.1 413 Re"


def test_a_client_that_waits_for_permission_gets_it(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(Content_Length=len(PHOTO), Expect="100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(PHOTO)
        assert read_answer(connection).status == 200


def test_too_many_bytes_that_nobody_has_announced_are_refused(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(Transfer_Encoding="chunked"))
        for _ in range(3):
            connection.sendall(chunk(bytes(70_000)))
        answer = read_answer(connection)
    assert (answer.status, answer.detail) == (413, TOO_LARGE)


def test_a_photo_in_parts_is_answered(server: Server) -> None:
    parts = (PHOTO[start : start + 9] for start in range(0, len(PHOTO), 9))
    assert server.post(parts).content == server.post(PHOTO).content


def test_the_bytes_of_a_photo_in_a_form_are_counted_without_the_form(server: Server) -> None:
    at_limit = server.post(None, files={"photo": PHOTO + bytes(200_000 - len(PHOTO))})
    above = server.post(None, files={"photo": PHOTO + bytes(200_001 - len(PHOTO))})
    assert (at_limit.status_code, above.status_code) == (200, 413)
    assert above.json()["detail"] == TOO_LARGE
    with_field = server.post(None, files={"note": (None, "x" * 190_000), "photo": bytes(190_000)})
    assert with_field.status_code == 413


def test_too_many_pixels_by_the_header_are_refused(server: Server) -> None:
    response = server.post(as_bytes(Image.new("1", (10_000, 8_901))))
    assert response.status_code == 422
    assert response.json()["detail"] == "photo has too many pixels: more than 89,000,000"
    assert server.post(as_bytes(Image.new("1", (10_000, 8_900)))).status_code == 200


def test_a_client_that_says_nothing_is_cut(server: Server) -> None:
    with connected(server) as connection:
        assert is_cut(connection)


def test_a_client_that_sends_its_head_byte_by_byte_is_cut(server: Server) -> None:
    with connected(server) as connection, pytest.raises(ConnectionError):  # noqa: PT012
        started = time.monotonic()
        for byte in head("/health", "GET", X_Long="x" * 1000):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() < started + LONG


@pytest.mark.parametrize(
    "start",
    [
        head(Content_Length=1000) + b"x",
        head(Content_Length=1000),
        head(Transfer_Encoding="chunked") + chunk(b"x"),
        head(Content_Length=1000, **FORM) + FORM_START,
    ],
    ids=["raw", "no byte", "chunked", "form"],
)
def test_a_client_that_falls_silent_in_its_upload_is_answered_and_cut(
    server: Server, start: bytes
) -> None:
    with connected(server) as connection:
        connection.sendall(start)
        answer = read_answer(connection)
        assert (answer.status, answer.detail) == (408, TOO_SLOW)
        assert is_cut(connection)


def test_a_client_that_trickles_is_refused_when_the_time_for_an_upload_is_over(
    server: Server,
) -> None:
    with connected(server) as connection:
        started = time.monotonic()
        connection.sendall(head(Content_Length=1000))
        connection.settimeout(0.2)
        while time.monotonic() < started + LONG:
            connection.sendall(b"x")
            try:
                first = connection.recv(12)
                break
            except TimeoutError:
                continue
        assert first == b"HTTP/1.1 408"
        assert time.monotonic() > started + 1.5  # more than the time for a silence


def test_a_body_that_never_ends_is_refused_and_cut(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(Transfer_Encoding="chunked"))
        deadline = time.monotonic() + LONG
        with pytest.raises(ConnectionError):  # noqa: PT012
            while time.monotonic() < deadline:
                connection.sendall(chunk(bytes(50_000)))
                time.sleep(0.02)
    assert server.post().status_code == 200


def test_a_body_that_is_shorter_than_announced_frees_its_place(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(Content_Length=len(PHOTO) + 1) + PHOTO)
        connection.shutdown(socket.SHUT_WR)
        assert is_cut(connection)
    assert server.post().status_code == 200


def test_a_connection_serves_several_requests_one_after_the_other(server: Server) -> None:
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(upload())
            assert read_answer(connection).status == 200


def test_a_refused_upload_leaves_its_connection_in_use(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(head(Content_Length=300_000) + bytes(300_000))
        assert read_answer(connection).status == 413
        connection.sendall(upload())
        assert read_answer(connection).status == 200


def test_requests_that_are_sent_without_waiting_are_answered_in_order(server: Server) -> None:
    reds = (10, 200, 100)
    with connected(server) as connection:
        requests_ = [upload(as_bytes(half_red(red)), "/mask?answer=json") for red in reds[:-1]]
        last = upload(as_bytes(half_red(reds[-1])), "/mask?answer=json", Connection="close")
        connection.sendall(b"".join([*requests_, last]))
        answers = read_all(connection).split(b"HTTP/1.1 200")[1:]
    assert [b'"foreground":0.5' in answer for answer in answers] == [False, True, False]


def test_garbage_after_a_request_ends_the_connection_alone(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(upload(path="/mask?answer=json") + b"\x00\x01garbage\r\n\r\n")
        statuses = [answer[:3] for answer in read_all(connection).split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"400"]
    with connected(server) as connection:
        connection.sendall(head(Transfer_Encoding="chunked") + chunk(b"x") + b"zz\r\n")
        assert read_answer(connection).status == 400
        assert is_cut(connection)
    with connected(server) as connection:
        connection.sendall(head(Transfer_Encoding="chunked") + 3 * chunk(bytes(70_000)))
        assert read_answer(connection).status == 413
        connection.sendall(b"zz\r\n")  # the request is answered already
        assert is_cut(connection)


def test_a_client_that_does_not_take_its_answer_is_cut_and_its_bytes_are_freed(
    tmp_path: Path,
) -> None:
    limits = {"upload_seconds": 1, "work_seconds": 2, "answer_seconds": 1}
    with (
        serving_with_limits(tmp_path, bytes_in_memory=3_000_000, **limits) as server,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        pixels = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
        photo = as_bytes(Image.fromarray(pixels), "JPEG", quality=30)  # 1 MB; the cut-out has 7
        connection.sendall(upload(photo, "/mask?kind=cutout"))
        deadline = time.monotonic() + LONG
        while (response := server.post()).status_code == 200:  # until the answer lies in memory
            assert time.monotonic() < deadline
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json()["detail"] == (
            "the server is busy: the photos under way fill the memory that is meant for them; "
            "try again in a second"
        )
        while server.post().status_code == 503:  # until the client is cut
            assert time.monotonic() < deadline
        assert server.post().status_code == 200


def test_one_connection_too_many_is_refused_until_another_is_closed(tmp_path: Path) -> None:
    with serving_with_limits(tmp_path, connections=3) as server:
        with ExitStack() as stack:
            connections = [stack.enter_context(connected(server)) for _ in range(7)]
            assert is_cut(connections[6])  # connections are accepted in order
            for connection in connections[3:6]:
                connection.sendall(head("/health", "GET"))
                answer = read_answer(connection, "GET")
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                assert answer.detail == (
                    "the server is busy: too many connections are open; try again in a second"
                )
            connections[0].sendall(head("/health", "GET"))
            assert read_answer(connections[0], "GET").status == 200
        deadline = time.monotonic() + LONG
        while (response := server.get("/health")).status_code == 503:
            assert time.monotonic() < deadline
        assert response.json() == {"status": "ok", "photos": 0}


@pytest.fixture(scope="module")
def short_queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes two photos at a time."""
    with serving_with_limits(tmp_path_factory.mktemp("queue"), photos=2) as server:
        yield server


def test_a_full_queue_refuses_and_answers_what_it_has_accepted(short_queue: Server) -> None:
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: short_queue.post(LARGE), range(12)))
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 2
    contents = {response.content for response in responses if response.status_code == 200}
    assert len(contents) == 1
    for response in responses:
        if response.status_code == 503:
            assert response.headers["Retry-After"] == "1"
            assert response.json()["detail"] == (
                "the server is busy: 2 photos wait already; try again in a second"
            )
    assert short_queue.photos() == 0
    assert short_queue.post(LARGE).content in contents


def test_a_client_that_goes_away_while_it_waits_frees_its_place(short_queue: Server) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(short_queue)).sendall(upload(LARGE))
        wait_for_photos(short_queue, 2)
    wait_for_photos(short_queue, 0)
    assert short_queue.post().status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with serving_with_limits(tmp_path, work_seconds=0.1) as server:
        response = server.post(LARGE, "?kind=cutout")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
        detail = "the answer was not there after 0.1 s; try again, or send a smaller photo"
        assert response.json()["detail"] == detail
        assert server.photos() == 0
        assert "Traceback" not in server.log()


def test_health_answers_while_all_threads_are_at_work(short_queue: Server) -> None:
    client = threading.Thread(target=lambda: short_queue.post(LARGE, "?kind=cutout"))
    client.start()
    wait_for_photos(short_queue, 1)
    assert short_queue.get("/health").json()["photos"] == 1
    client.join()


def test_refused_and_broken_uploads_leave_no_bytes_behind(tmp_path: Path) -> None:
    with serving_with_limits(tmp_path, bytes_in_memory=1_000_000, photo_bytes=200_000) as server:
        for _ in range(10):
            assert server.post(bytes(200_000)).status_code == 422
            assert server.post(iter([bytes(200_000), b"x"])).status_code == 413
            assert server.post(None, files={"other": bytes(200_000)}).status_code == 400
            with connected(server) as connection:
                connection.sendall(head(Content_Length=200_000) + bytes(150_000))
        assert server.post().status_code == 200
