"""The endpoint over HTTP: its answers equal the shell's and Python's, and it describes itself."""

import base64
import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from jaxtyping import Bool
from PIL import Image

from flows.web.answers import Options
from petseg.data import quantisation
from petseg.inference.segmenter import Segmenter
from petseg.prediction.kinds import FORMATS, KINDS
from tests.conftest import run_in
from tests.prediction.red_model import as_bytes, half_red, noise_photo
from tests.web.server import PHOTO, Server

TURNED_BY_90_DEGREES = 6  # EXIF's orientation: the upright photo has width and height exchanged
NAMES = ("noise", "turned")


@pytest.fixture(scope="module")
def folder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos, and every output that `petseg predict` writes of them."""
    folder = tmp_path_factory.mktemp("shell")
    exif = Image.Exif()
    exif[0x0112] = TURNED_BY_90_DEGREES
    noise_photo((60, 40)).save(folder / "noise.jpg", "PNG")
    noise_photo((50, 30), 1).save(folder / "turned.jpg", exif=exif)
    kinds = [f"--kind={kind}" for kind in KINDS]
    for file_format in FORMATS:
        options = ["--model", str(server.model), "--format", file_format, *kinds]
        run_in(folder, "petseg", "predict", "noise.jpg", "turned.jpg", *options)
    return folder


def answer(server: Server, photo: bytes, query: str) -> dict[str, Any]:
    """Return the server's answer in JSON."""
    response = server.post(photo, f"?answer=json&{query}")
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def opened(content: bytes) -> Image.Image:
    """Return the image in the bytes of a file."""
    return Image.open(io.BytesIO(content))


def decoded(runs: dict[str, Any]) -> Bool[np.ndarray, "height width"]:
    """Return the mask of run lengths, column by column, beginning with background."""
    height, width = runs["size"]
    values = np.repeat(np.arange(len(runs["counts"])) % 2 == 1, runs["counts"])
    return values.reshape(width, height).T


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_equals_the_file_of_the_shell_byte_for_byte(
    server: Server, folder: Path, kind: str, file_format: str, name: str
) -> None:
    photo = (folder / f"{name}.jpg").read_bytes()
    file = (folder / f"{name}.{kind}.{file_format}").read_bytes()
    response = server.post(photo, f"?kind={kind}&format={file_format}")
    assert (response.status_code, response.content) == (200, file)
    assert response.headers["content-type"] == f"image/{file_format}"
    form = server.post(
        None, f"?kind={kind}&format={file_format}", files={"photo": ("x.jpg", photo, "text/plain")}
    )
    assert (form.status_code, form.content) == (200, file)


def test_a_mask_as_png_is_the_answer_without_a_query(server: Server, folder: Path) -> None:
    photo = (folder / "noise.jpg").read_bytes()
    assert server.post(photo).content == (folder / "noise.mask.png").read_bytes()


def test_curl_sends_a_form_as_the_documentation_says(server: Server, folder: Path) -> None:
    address = f"{server.address}/mask?kind=cutout"
    run_in(folder, "curl", "-sS", "-F", "photo=@turned.jpg", "-o", "cat.png", address)
    assert (folder / "cat.png").read_bytes() == (folder / "turned.cutout.png").read_bytes()
    run_in(folder, "curl", "-sS", "--data-binary", "@turned.jpg", "-o", "cat2.png", address)
    assert (folder / "cat2.png").read_bytes() == (folder / "turned.cutout.png").read_bytes()


@pytest.mark.parametrize("header", ["multipart/form-data", "Multipart/Form-Data"])
def test_a_form_may_have_fields_beside_its_file(server: Server, header: str) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nmy cat\r\n'
        b'--x\r\nContent-Disposition: form-data; name="photo"; filename="cat"\r\n\r\n'
        + PHOTO
        + b"\r\n--x--\r\n"
    )
    response = server.post(body, headers={"Content-Type": f"{header}; boundary=x"})
    assert response.content == server.post(PHOTO).content


def test_the_headers_of_a_picture_have_the_numbers(server: Server) -> None:
    # The left half has 204 / 255 = 0.8 of red, the right half none: the mask covers one half, and
    # its expected IoU is 0.8 · ½ / ½.
    response = server.post(as_bytes(half_red(204)))
    names = ("Foreground", "Expected-IoU", "Threshold")
    assert [response.headers[name] for name in names] == ["0.5000", "0.8000", "0.5000"]


@pytest.mark.parametrize(
    ("threshold", "foreground", "expected_iou"),
    [  # at 0 every pixel is pet, and all of the probability, 0.8 · ½, lies in the mask
        ("0", 1, 0.4),
        ("0.5", 0.5, 0.8),
        ("0.8", 0.5, 0.8),
        ("0.81", 0, 0),
        ("1", 0, 0),
    ],
)
def test_the_threshold_of_the_query_decides(
    server: Server, threshold: str, foreground: float, expected_iou: float
) -> None:
    photo = as_bytes(half_red(204))
    result = answer(server, photo, f"threshold={threshold}")
    assert result["threshold"] == float(threshold)
    assert (result["foreground"], result["expected_iou"]) == (foreground, expected_iou)
    picture = server.post(photo, f"?threshold={threshold}")
    assert np.asarray(opened(picture.content)).mean() == 255 * foreground
    assert float(picture.headers["Foreground"]) == foreground
    assert float(picture.headers["Expected-IoU"]) == expected_iou
    assert opened(picture.content).info["Threshold"] == f"{float(threshold):.4f}"


@pytest.mark.parametrize(("red", "verdict"), [(204, "probably good"), (203, "look again")])
def test_the_verdict_is_good_from_an_expected_iou_of_08(
    server: Server, red: int, verdict: str
) -> None:
    assert answer(server, as_bytes(half_red(red)), "")["verdict"] == verdict


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("size", "expected"),
    [(20, (20, 15)), (1, (1, 1)), (39, (39, 29)), (40, (40, 30)), (16_384, (40, 30))],
)
def test_the_size_is_of_the_longer_side_and_never_enlarges(
    server: Server, kind: str, size: int, expected: tuple[int, int]
) -> None:
    assert opened(server.post(PHOTO, f"?kind={kind}&size={size}").content).size == expected


def test_a_smaller_mask_has_its_edge_at_the_same_place(server: Server) -> None:
    mask = np.asarray(opened(server.post(PHOTO, "?size=20").content))
    assert mask.shape == (15, 20)
    assert (mask[:, :10] == 255).all()
    assert (mask[:, 10:] == 0).all()


def test_the_size_applies_to_a_turned_photo_after_it_is_upright(
    server: Server, folder: Path
) -> None:
    photo = (folder / "turned.jpg").read_bytes()  # 50 by 30 pixels in the file
    assert opened(server.post(photo, "?size=25").content).size == (15, 25)
    result = answer(server, photo, "size=25")
    assert (result["width"], result["height"]) == (30, 50)
    assert result["mask"]["size"] == [25, 15]


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_in_json_are_those_of_the_library(
    server: Server, folder: Path, name: str
) -> None:
    segmenter = Segmenter.load(server.model)
    prediction = segmenter.predict(folder / f"{name}.jpg")
    result = answer(server, (folder / f"{name}.jpg").read_bytes(), "kind=mask")
    assert (result["width"], result["height"]) == (prediction.width, prediction.height)
    assert result["foreground"] == round(prediction.foreground, 4)
    assert result["expected_iou"] == round(prediction.expected_iou, 4)
    assert result["threshold"] == segmenter.metadata.threshold
    assert result["model"] == segmenter.engine.sha256
    assert set(result) == {
        *("width", "height", "threshold", "foreground", "expected_iou", "verdict", "model"),
        *("kind", "mask"),
    }
    assert np.array_equal(decoded(result["mask"]), prediction.mask())


@pytest.mark.parametrize(
    ("photo", "first"),
    [
        (half_red(204), 0),  # the first pixel is pet, so the run of background is empty
        (half_red(204).transpose(Image.Transpose.FLIP_LEFT_RIGHT), 8 * 16),
        (Image.new("RGB", (7, 5), "black"), 35),
        (Image.new("RGB", (7, 5), "white"), 0),
        (noise_photo((61, 43), 7), None),
    ],
    ids=["left", "right", "nothing", "everything", "noise"],
)
def test_the_run_lengths_are_the_mask(
    server: Server, photo: Image.Image, first: int | None
) -> None:
    runs = answer(server, as_bytes(photo), "")["mask"]
    mask = np.asarray(opened(server.post(as_bytes(photo)).content)) == 255
    assert np.array_equal(decoded(runs), mask)
    assert all(count > 0 for count in runs["counts"][1:])
    assert first is None or runs["counts"][0] == first


@pytest.mark.parametrize("kind", ["cutout", "overlay", "probability"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_picture_in_json_is_the_picture_of_its_own(
    server: Server, kind: str, file_format: str
) -> None:
    query = f"kind={kind}&format={file_format}&size=20&threshold=0.3"
    head, _, encoded = answer(server, PHOTO, query)["image"].partition(",")
    assert head == f"data:image/{file_format};base64"
    assert base64.b64decode(encoded) == server.post(PHOTO, f"?{query}").content


@pytest.mark.parametrize("threshold", [0, 0.2, 0.5, 0.7, 1])
def test_the_numbers_by_level_are_those_of_every_threshold(
    server: Server, threshold: float
) -> None:
    photo = as_bytes(noise_photo((60, 40)))
    by_level = answer(server, photo, "kind=probability")["by_level"]
    assert {name: len(numbers) for name, numbers in by_level.items()} == {
        "foreground": 256,
        "expected_iou": 256,
    }
    level = quantisation.min_level(threshold)
    result = answer(server, photo, f"threshold={threshold}")
    assert by_level["foreground"][level] == result["foreground"]
    assert by_level["expected_iou"][level] == result["expected_iou"]


def test_the_model_page_has_the_metadata_and_the_limits(server: Server) -> None:
    model = server.get("/model").json()
    segmenter = Segmenter.load(server.model)
    assert model["sha256"] == segmenter.engine.sha256
    assert model["software"].startswith("petseg ")
    assert (model["recipe"], model["image_size"], model["threshold"]) == ("red", 16, 0.5)
    assert model["limits"] == {
        "bytes": 67_108_864,
        "pixels": 89_000_000,
        "formats": ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"],
        "photos": 64,
    }


def test_a_server_without_work_is_healthy_and_has_no_photos(server: Server) -> None:
    assert server.get("/health").json() == {"status": "ok", "photos": 0}


@pytest.mark.parametrize("path", ["/", "/health", "/model", "/openapi.json", "/page.json", "/docs"])
def test_head_answers_with_the_headers_alone(server: Server, path: str) -> None:
    get, head = server.get(path), requests.head(f"{server.address}{path}", timeout=60)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (
            "kind=masks",
            "kind is 'masks': input should be 'mask', 'cutout', 'overlay' or 'probability'",
        ),
        ("format=jpg", "format is 'jpg': input should be 'png' or 'webp'"),
        ("answer=xml", "answer is 'xml': input should be 'image' or 'json'"),
        ("threshold=1.5", "threshold is '1.5': input should be less than or equal to 1"),
        ("threshold=-1", "threshold is '-1': input should be greater than or equal to 0"),
        ("threshold=nan", "threshold is 'nan': input should be a finite number"),
        ("threshold=high", "threshold is 'high': input should be a valid number"),
        ("size=0", "size is '0': input should be greater than or equal to 1"),
        ("size=16385", "size is '16385': input should be less than or equal to 16384"),
        ("size=1.5", "size is '1.5': input should be a valid integer"),
        ("treshold=0.5", "treshold is unknown"),
        ("threshold=0.5&threshold=0.6", "threshold: given more than once"),
        ("kind=a&size=b", "kind is 'a': "),
        ("kind=%3Cscript%3E", "kind is '<script>': "),
    ],
)
def test_a_wrong_query_names_the_parameter_and_what_is_allowed(
    server: Server, query: str, detail: str
) -> None:
    response = server.post(PHOTO, f"?{query}")
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["detail"].startswith(detail)
    assert problem["detail"].endswith("; see /docs")
    assert problem | {"detail": ""} == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "",
    }
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nothing", 404, "GET /nothing is not served here; see /docs"),
        ("GET", "/examples/99.jpg", 404, "there is no example 99; there are 1 to 3"),
        ("GET", "/page.css/../../app.py", 404, "GET /app.py is not served here; see /docs"),
        ("GET", "/model/", 404, "GET /model/ is not served here; see /docs"),
        ("GET", "/mask", 405, "GET /mask is not served here; see /docs"),
        ("DELETE", "/mask", 405, "DELETE /mask is not served here; see /docs"),
        ("POST", "/health", 405, "POST /health is not served here; see /docs"),
    ],
)
def test_an_unknown_address_or_method_is_a_problem(
    server: Server, method: str, path: str, status: int, detail: str
) -> None:
    response = requests.request(method, f"{server.address}{path}", timeout=60)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["detail"]) == (status, detail)


@pytest.mark.parametrize(
    "photo",
    [b"<svg></svg>", PHOTO[:70], as_bytes(noise_photo((90, 90)), "JPEG")[:400]],
    ids=["no picture", "truncated PNG", "truncated JPEG"],
)
def test_the_sentence_about_a_photo_is_the_shells(
    server: Server, tmp_path: Path, photo: bytes
) -> None:
    (tmp_path / "cat.jpg").write_bytes(photo)
    shell = run_in(
        tmp_path, "petseg", "predict", "cat.jpg", "--model", str(server.model), fails=True
    )
    response = server.post(photo)
    assert response.status_code == 422
    assert f"error: cat.jpg: {response.json()['detail']}\n" == shell


def test_the_description_has_every_parameter_both_bodies_and_the_problems(server: Server) -> None:
    description = server.get("/openapi.json").json()
    assert {"/mask", "/model", "/health"} == set(description["paths"])
    operation = description["paths"]["/mask"]["post"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert set(parameters) == set(Options.model_fields)
    assert all(parameter["description"] for parameter in parameters.values())
    assert parameters["kind"]["schema"]["enum"] == list(KINDS)
    bodies = operation["requestBody"]["content"]
    assert set(bodies) == {"multipart/form-data", "application/octet-stream"}
    assert set(operation["responses"]) == {"200", "400", "403", "408", "413", "422", "503"}
    good = operation["responses"]["200"]["content"]
    assert set(good) == {"image/png", "image/webp", "application/json"}
    for status, response in operation["responses"].items():
        if status != "200":
            (schema,) = response["content"].values()
            assert list(response["content"]) == ["application/problem+json"]
            assert set(schema["schema"]["properties"]) == {"type", "title", "status", "detail"}
    schemas = description["components"]["schemas"]
    assert {"MaskAnswer", "ModelAnswer", "Health", "RunLengths", "ByLevel"} <= set(schemas)


def test_the_examples_are_photos_that_the_endpoint_answers(server: Server) -> None:
    for path in server.get("/page.json").json()["examples"]:
        example = server.get(path)
        assert example.headers["content-type"] == "image/jpeg"
        mask = opened(server.post(example.content).content)
        assert mask.size == opened(example.content).size


def test_several_programs_at_once_get_their_own_answers(server: Server, tmp_path: Path) -> None:
    photos = [as_bytes(half_red(200 + number, (40 + number, 30))) for number in range(12)]
    programs = []
    for number, photo in enumerate(photos):
        (tmp_path / f"{number}.png").write_bytes(photo)
        target = f"{server.address}/mask?kind=probability"
        command = ("curl", "-sS", "-F", f"photo=@{number}.png", "-o", f"{number}.out", target)
        programs.append(subprocess.Popen(command, cwd=tmp_path))
    assert [program.wait(60) for program in programs] == [0] * len(programs)
    for number in range(len(photos)):
        levels = np.asarray(Image.open(tmp_path / f"{number}.out"))
        assert levels.shape == (30, 40 + number)
        assert levels[0, 0] == 200 + number
