"""Comparison pictures and tables of figures, which a compression call writes beside the `.bin` files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from compressgan.errors import CompressGANError, os_reason
from compressgan.evaluation.metrics import Figures, known, mean
from compressgan.images.files import write_csv, write_json
from compressgan.images.writing import write_picture

SUMMARY = "summary"  # file name of the tables, without extension
NO_MEANS = ("file", "width", "height", "level", "realism")  # columns without a mean


def read_summary(folder: Path) -> dict[str, Figures]:
    """Returns the figures that earlier calls wrote to a folder, by file.

    Raises:
        CompressGANError: a file of that name cannot be read, or was not written by this program.
    """
    with _naming(folder / f"{SUMMARY}.csv") as path:
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                if next(csv.reader(file), [])[:3] != ["file", "width", "height"]:
                    raise ValueError("other columns")
    rows = []
    with _naming(folder / f"{SUMMARY}.json") as path:
        if path.exists():
            for row in json.loads(path.read_text(encoding="utf-8"))["photos"]:
                rows.append(Figures(**{name: math.nan if value is None else value for name, value in row.items()}))
    return {row.file: row for row in rows}


@contextmanager
def _naming(path: Path) -> Iterator[Path]:
    """Turns what is wrong with a file into a line that says why the call cannot go on."""
    try:
        yield path
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise CompressGANError(
            f"{path}: not written by this program and would be overwritten; move it, or choose another output folder"
        ) from None


def write_summary(folder: Path, rows: list[Figures]) -> None:
    """Writes the figures as `summary.csv`, one line per photo, and as `summary.json` with their means.

    Unknown figures are empty cells or null.

    Raises:
        CompressGANError: a file cannot be written.
    """
    table = [{name: known(value) for name, value in asdict(row).items()} for row in rows]
    means = {name: known(mean(rows, name)) for name in table[0] if name not in NO_MEANS}
    write_csv(folder / f"{SUMMARY}.csv", table)
    write_json(folder / f"{SUMMARY}.json", {"mean": means, "photos": table})


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
