"""Masks of pets from photos, by an exported model: `from petseg import Segmenter`."""

from typing import TYPE_CHECKING

__all__ = ["Prediction", "Segmenter", "UserError"]

if TYPE_CHECKING:
    from petseg.errors import UserError
    from petseg.inference.segmenter import Prediction, Segmenter
else:  # A type checker that saw this function would accept any name.

    def __getattr__(name: str) -> type:
        """Return a public class, whose module is imported only now.

        So `petseg --help` answers without waiting for NumPy and ONNX Runtime.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from petseg import errors
        from petseg.inference import segmenter

        return getattr(errors if name == "UserError" else segmenter, name)
