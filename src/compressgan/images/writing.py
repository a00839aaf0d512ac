"""Writing photos as picture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from compressgan.errors import CompressGANError
from compressgan.images.files import replacing

# Pillow's name, the largest number of pixels per side, and options, by suffix.
FORMATS = {
    "png": ("PNG", 2**31 - 1, {"compress_level": 3}),  # three times as fast as Pillow's default of 6, and 10% larger
    "webp": ("WEBP", 16383, {"quality": 95}),
    "jpg": ("JPEG", 65500, {"quality": 95, "subsampling": "4:4:4"}),
}


def check_size(path: Path, height: int, width: int) -> None:
    """Checks that the format of a picture file, given by its suffix, can hold a picture of this size.

    Raises:
        CompressGANError: the format cannot hold it.
    """
    name, most, _ = FORMATS[path.suffix.removeprefix(".")]
    if max(height, width) > most:
        raise CompressGANError(f"{path}: {name} holds at most {most} pixels per side, not {width} x {height}")


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 pixels in the format of the file's suffix, which is one of `FORMATS`.

    Raises:
        CompressGANError: the file cannot be written, or its format cannot hold that many pixels per side.
    """
    check_size(path, *pixels.shape[:2])
    name, _, options = FORMATS[path.suffix.removeprefix(".")]
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format=name, **options)
