"""What the endpoint answers with: a picture, or JSON with numbers and a mask in run lengths."""

import base64
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, Field

from petseg.data.photos import UnusableError
from petseg.inference import confidence
from petseg.inference.segmenter import Prediction
from petseg.prediction import outputs
from petseg.prediction.kinds import Format, Kind
from petseg.prediction.outputs import Origin

GOOD_FROM = 0.8  # the expected IoU from which a mask is probably good
MAX_RUNS = 1_000_000  # of a mask in JSON
MAX_SIDE = 16_384  # pixels, of the query's `size`
Verdict = Literal["probably good", "look again"]


class Options(BaseModel):
    """The query of `POST /mask`: what to answer with."""

    model_config = {"extra": "forbid"}

    kind: Kind = Field(
        "mask",
        description="mask: grey, 255 is foreground; cutout: the photo, transparent where it is background; "
        "overlay: the photo with the mask in green; probability: grey, of foreground in 1/255.",
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="The smallest probability with which a pixel is foreground; the model's by default.",
    )
    size: int | None = Field(
        None,
        ge=1,
        le=MAX_SIDE,
        description="The longer side of the answer in pixels, if the photo is larger; "
        "the photo's own size by default.",
    )
    format: Format = Field("png", description="The format of a picture.")
    answer: Literal["image", "json"] = Field(
        "image", description="A picture with the numbers in its headers, or JSON."
    )


class RunLengths(BaseModel):
    """A mask as COCO writes it without compression: run lengths, column by column."""

    size: tuple[int, int] = Field(description="Height and width in pixels.")
    counts: list[int] = Field(
        description="Lengths of the runs of background and foreground in turn, beginning with background, "
        "down each column, from the left column to the right."
    )


class ByLevel(BaseModel):
    """The numbers for every threshold: the item n is for pixels with n/255 or more as foreground."""

    foreground: list[float] = Field(description="256 shares of the photo, 0 to 1.")
    expected_iou: list[float] = Field(description="256 expected IoUs, 0 to 1.")


class MaskAnswer(BaseModel):
    """What the model says of a photo."""

    width: int = Field(description="Of the upright photo in pixels.")
    height: int = Field(description="Of the upright photo in pixels.")
    threshold: float = Field(
        description="The smallest probability with which a pixel is foreground."
    )
    foreground: float = Field(description="The share of the photo that the mask covers, 0 to 1.")
    expected_iou: float = Field(
        description="The IoU that the mask would have if the probabilities were right, 0 to 1."
    )
    verdict: Verdict = Field(
        description=f"Probably good from an expected IoU of {GOOD_FROM} on, otherwise look again."
    )
    model: str = Field(description="SHA-256 of the model's file.")
    kind: Kind
    mask: RunLengths | None = Field(None, description="For the kind mask.")
    image: str | None = Field(None, description="For the other kinds: a data URI.")
    by_level: ByLevel | None = Field(None, description="For the kind probability.")


@dataclass(frozen=True)
class Answer:
    """The content of an answer, and what its headers say."""

    content: bytes
    media_type: str
    headers: dict[str, str]


def with_options(prediction: Prediction, options: Options) -> Prediction:
    """Return the prediction with the threshold and the size that a query names."""
    if options.threshold is not None:
        metadata = replace(prediction.metadata, threshold=options.threshold)
        prediction = replace(prediction, metadata=metadata)
    longer = max(prediction.width, prediction.height)
    if options.size is None or options.size >= longer:
        return prediction
    width, height = (
        max(1, round(side * options.size / longer))
        for side in (prediction.width, prediction.height)
    )
    read_photo = prediction.read_photo
    return replace(
        prediction,
        width=width,
        height=height,
        read_photo=lambda: read_photo().resize((width, height), reducing_gap=2),
    )


def create(prediction: Prediction, options: Options, model: str) -> Answer:
    """Return the answer to a query.

    Args:
        prediction: what the model says of the photo.
        options: the query.
        model: SHA-256 of the model's file.

    Raises:
        UnusableError: the photo has another fault than those of its header, or is too large for
            the format.
    """
    result = with_options(prediction, options)
    if options.answer == "json":
        content = as_json(prediction, result, options, model).model_dump_json(exclude_none=True)
        return Answer(content.encode(), "application/json", {})
    headers = {
        "Foreground": f"{result.foreground:.4f}",
        "Expected-IoU": f"{result.expected_iou:.4f}",
        "Threshold": f"{result.metadata.threshold:.4f}",
    }
    return Answer(image(result, options, model), f"image/{options.format}", headers)


def image(result: Prediction, options: Options, model: str) -> bytes:
    """Return the picture that a query names, as `petseg predict` writes it."""
    origin = Origin(model, result.metadata.threshold)
    return outputs.encode(result, options.kind, options.format, origin)


def as_json(prediction: Prediction, result: Prediction, options: Options, model: str) -> MaskAnswer:
    """Return the answer as JSON; `prediction` has the photo's own size, `result` the query's."""
    answer = MaskAnswer(
        width=prediction.width,
        height=prediction.height,
        threshold=result.metadata.threshold,
        foreground=round(result.foreground, 4),
        expected_iou=round(result.expected_iou, 4),
        verdict="probably good" if result.expected_iou >= GOOD_FROM else "look again",
        model=model,
        kind=options.kind,
    )
    if options.kind == "mask":
        answer.mask = run_lengths(result.mask())
        return answer
    encoded = base64.b64encode(image(result, options, model)).decode()
    answer.image = f"data:image/{options.format};base64,{encoded}"
    if options.kind == "probability":
        shares, ious = confidence.by_level(result.levels)
        answer.by_level = ByLevel(
            foreground=shares.round(4).tolist(), expected_iou=ious.round(4).tolist()
        )
    return answer


def run_lengths(mask: Bool[np.ndarray, "height width"]) -> RunLengths:
    """Return a mask as run lengths, column by column, beginning with background.

    Raises:
        UnusableError: they would fill the memory.
    """
    pixels = mask.ravel(order="F")
    changes = 1 + np.flatnonzero(pixels[1:] != pixels[:-1])
    if len(changes) > MAX_RUNS:
        raise UnusableError(
            f"the mask has more than {MAX_RUNS:,} runs; ask for a smaller `size`, or for a picture"
        )
    lengths = np.diff(changes, prepend=0, append=len(pixels)).tolist()
    height, width = mask.shape
    return RunLengths(size=(height, width), counts=[0, *lengths] if pixels[0] else lengths)
