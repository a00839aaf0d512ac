"""What a compression call leaves beside the `.bin` files: comparison pictures and the table of figures."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from files import replacing
from metrics import Figures
from photo import write_png


def write_summary(path: Path, rows: list[Figures]) -> None:
    """Writes the figures as CSV, a line a photo.

    Raises:
        CompressGANError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Figures)])
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()})


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
    # Captions of tiny photos need more room than the photos.
    column = max(width, *(int(font.getlength(caption)) + size for caption in captions))
    canvas = Image.new("RGB", (2 * column, height + 2 * size), "white")
    draw = ImageDraw.Draw(canvas)
    for left, pixels, caption in zip((0, column), (photo, reconstruction), captions, strict=True):
        canvas.paste(Image.fromarray(pixels), (left + (column - width) // 2, 0))
        draw.text((left + column // 2, height + size), caption, "black", font, anchor="mm")
    write_png(path, np.asarray(canvas))
