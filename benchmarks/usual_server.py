"""Serve masks as tutorials do, to compare `petseg try` with: FastAPI, and Keras called per request.

    python benchmarks/usual_server.py data/model/model.keras --port 8809

`POST /mask` takes a photo as the body, and answers with its mask as PNG. FastAPI runs each request
in a thread; a lock lets one of them at a time into the model.
"""

import argparse
import io
import os
import threading
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI, Response


def create_app(path: Path) -> FastAPI:
    """Return the web application for a Keras model."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np
    from PIL import Image

    from petseg.model import keras_file

    model, metadata = keras_file.load(path)
    size = (metadata.image_size, metadata.image_size)
    lock = threading.Lock()
    app = FastAPI()

    @app.post("/mask")
    def mask(data: Annotated[bytes, Body(media_type="image/jpeg")]) -> Response:
        photo = keras.utils.load_img(io.BytesIO(data))
        pixels = keras.utils.img_to_array(photo.resize(size))
        with lock:
            probabilities = model.predict(pixels[None], verbose=0)[0, ..., 0]
        full = Image.fromarray(probabilities).resize(photo.size, Image.Resampling.BILINEAR)
        foreground = np.asarray(full) >= metadata.threshold
        buffer = io.BytesIO()
        Image.fromarray(foreground.astype(np.uint8) * 255).save(buffer, "PNG")
        return Response(buffer.getvalue(), media_type="image/png")

    return app


def main() -> None:
    """Serve a model until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=8809)
    args = parser.parse_args()
    uvicorn.run(create_app(args.model), port=args.port, log_level="error")


if __name__ == "__main__":
    main()
