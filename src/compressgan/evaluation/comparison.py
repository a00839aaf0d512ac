"""The picture that a compression call writes beside each `.bin` file: original and reconstruction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from compressgan.evaluation.metrics import Figures
from compressgan.images.writing import write_picture


def write_comparison(path: Path, photo: np.ndarray, reconstruction: np.ndarray, figures: Figures) -> None:
    """Writes original and reconstruction, (H, W, 3) uint8 each, side by side with a caption, as PNG.

    Raises:
        CompressGANError: the file cannot be written.
    """
    height, width = photo.shape[:2]
    captions = (
        f"original, {width} x {height}",
        f"{figures.bytes:,} bytes, {figures.bpp:.4f} bpp, PSNR {figures.psnr:.2f} dB",
    )
    size = max(10, min(width // 24, 28))
    font = ImageFont.load_default(size)
    # The captions of tiny photos need more room than the photos.
    column = max(width, *(int(font.getlength(caption)) + size for caption in captions))
    canvas = Image.new("RGB", (2 * column, height + 2 * size), "white")
    draw = ImageDraw.Draw(canvas)
    for left, pixels, caption in zip((0, column), (photo, reconstruction), captions, strict=True):
        canvas.paste(Image.fromarray(pixels), (left + (column - width) // 2, 0))
        draw.text((left + column // 2, height + size), caption, "black", font, anchor="mm")
    write_picture(path, np.asarray(canvas))
