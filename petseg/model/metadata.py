"""What the model's file says of the model: what predicting needs, and how it was trained."""

from dataclasses import dataclass

from petseg.data.frame import Frame, Mode

MEMBER = "petseg.json"  # the file in the .keras archive that holds this; Keras ignores it


@dataclass(frozen=True)
class Metadata:
    """What predicting needs beside the network, and what the network was trained from."""

    image_size: int  # side of the input in pixels
    mode: Mode  # how a photo of any shape becomes that square
    threshold: (
        float  # the probability, 0 to 1, from which a pixel is foreground; the best on validation
    )
    border: str  # what the trimap's border counted as in training
    recipe: str
    data_sha256: str  # of the hashes of all training and validation photos
    epoch: int  # the best one by validation IoU, whose weights these are
    versions: dict[str, str]  # of TensorFlow, Keras and NumPy in training

    @property
    def frame(self) -> Frame:
        """The network's input, and how photos are brought to it."""
        return Frame(self.mode, self.image_size)
