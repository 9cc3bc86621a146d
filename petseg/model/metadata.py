"""What a prediction needs to know beside the network, stored with the model."""

from dataclasses import dataclass

MEMBER = "petseg.json"  # a member of ours in Keras's zip, which Keras ignores


@dataclass(frozen=True)
class Metadata:
    """What a prediction needs beside the network, and where the network came from."""

    image_size: int  # side of the input, pixels
    threshold: float  # a pixel is pet from this probability on; the best on validation
    border: str  # what the border counted as in training
    recipe: str
    data_sha256: str  # of the training and validation photos' hashes
    epoch: int  # the epoch kept
    versions: dict[str, str]  # of the libraries that trained it
