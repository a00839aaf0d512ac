"""Photos to measure with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from compressgan.images.reading import read_photo
from compressgan.images.writing import write_picture


def fitted(photos: list[Path], size: tuple[int, int], count: int, folder: Path) -> None:
    """Writes `count` photos of one size, (width, height), cropped and scaled from the given ones."""
    folder.mkdir()
    for i in range(count):
        image = ImageOps.fit(Image.fromarray(read_photo(photos[i % len(photos)])), size, Image.Resampling.LANCZOS)
        write_picture(folder / f"{i:02}.png", np.asarray(image))
