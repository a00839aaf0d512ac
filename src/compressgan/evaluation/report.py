"""What a compression call leaves beside the `.bin` files: comparison pictures and the tables of figures."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from errors import warn
from files import write_csv, write_json
from metrics import Figures, known, mean
from photo import write_picture

SUMMARY = "summary"  # stem of the tables of figures


def write_summary(folder: Path, rows: list[Figures]) -> None:
    """Writes the figures as `summary.csv`, a line a photo, and as `summary.json` with their means.

    What is not known is an empty cell or null.

    Raises:
        CompressGANError: a file cannot be written.
    """
    table = [{name: known(value) for name, value in asdict(row).items()} for row in rows]
    means = {name: known(mean(rows, name)) for name in table[0] if name not in ("file", "width", "height")}
    write_csv(folder / f"{SUMMARY}.csv", table)
    write_json(folder / f"{SUMMARY}.json", {"mean": means, "photos": table})


def read_summary(folder: Path) -> dict[str, Figures]:
    """Returns the figures that an earlier call wrote into `summary.json`, by file; none if it is not there."""
    path = folder / f"{SUMMARY}.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))["photos"]
        rows = [Figures(**{name: math.nan if value is None else value for name, value in row.items()}) for row in table]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        warn(f"{path}: not a summary of photos; its figures are left out")
        return {}
    return {row.file: row for row in rows}


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
    write_picture(path, np.asarray(canvas))
