"""Plots of results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from PIL import Image, ImageDraw, ImageFont

from compressgan.evaluation.tables import FIGURES, label
from compressgan.images.files import replacing
from compressgan.images.writing import write_picture

METRICS = ("psnr", "ms_ssim", "ssimulacra2", "vgg19_distance", "lpips", "kid")
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # bits per pixel
CROP = 256  # pixels per side of a picture on the sheet


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG.

    Raises:
        CompressGANError: the file cannot be written.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight")


def write_rate_distortion(path: Path, means: list[dict]) -> None:
    """Draws the mean of each metric against the rate, one line per codec. Metrics that no codec has are left out."""
    metrics = [name for name in METRICS if any(row[name] is not None for row in means)]
    figure = Figure(figsize=(5.5 * len(metrics), 4.5))
    axes = figure.subplots(1, len(metrics), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for codec in dict.fromkeys(row["codec"] for row in means):
            points = [(row["bpp"], row[metric]) for row in means if row["codec"] == codec and row[metric] is not None]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o" if len(points) > 1 else "*", markersize=7, label=codec)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xticks(_TICKS, minor=False)
        axis.set_xlim(0.8 * min(row["bpp"] for row in means), 1.25 * max(row["bpp"] for row in means))
        axis.set_xlabel("bits per pixel of the whole file")
        axis.set_ylabel(label(metric))
        axis.grid(alpha=0.3)
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    photos = means[0]["photos"]
    figure.suptitle(f"means over {photos} photos" if photos > 1 else "one photo")
    save_figure(figure, path)


def write_crops(path: Path, rows: list[list[tuple[str, np.ndarray]]]) -> None:
    """Writes a sheet of the middle parts of photos, (H, W, 3) uint8 with a caption each, one row per photo.

    Raises:
        CompressGANError: the file cannot be written.
    """
    cell, caption_height = CROP + 4, 20
    canvas = Image.new("RGB", (cell * max(map(len, rows)), (cell + caption_height) * len(rows)), "white")
    draw = ImageDraw.Draw(canvas)
    for i, row in enumerate(rows):
        for j, (caption, photo) in enumerate(row):
            top, left = (max(0, (length - CROP) // 2) for length in photo.shape[:2])
            x, y = j * cell, i * (cell + caption_height)
            draw.text((x + CROP // 2, y + caption_height // 2), caption, "black", ImageFont.load_default(13), "mm")
            canvas.paste(Image.fromarray(photo[top : top + CROP, left : left + CROP]), (x, y + caption_height))
    write_picture(path, np.asarray(canvas))


def write_bars(path: Path, rows: list[dict], title: str) -> None:
    """Draws each figure of `rows` as bars, one per row, labelled with its `row`."""
    metrics = [name for name in FIGURES if all(row.get(name) is not None for row in rows)]
    figure = Figure(figsize=(3.5 * len(metrics), 0.5 * len(rows) + 1.5))
    axes = figure.subplots(1, len(metrics), squeeze=False)
    names = [row["row"] for row in rows][::-1]
    for axis, metric in zip(axes[0], metrics, strict=True):
        values = [row[metric] for row in rows][::-1]
        digits = FIGURES[metric][1]
        axis.bar_label(axis.barh(names, values, color="#5588bb"), [f"{value:{digits}}" for value in values], padding=3)
        # Bars for sizes start at 0; bars for decibels and similarities start a little below the lowest value.
        least = 0.0 if metric in ("bytes", "bpp", "bound_bpp") else min(values) - 0.5 * (max(values) - min(values))
        axis.set_xlim(least, max(values) + 0.35 * (max(values) - least or 1))
        axis.set_xlabel(label(metric))
        axis.locator_params(axis="x", nbins=4)
        axis.label_outer()
    figure.suptitle(title)
    figure.tight_layout()
    save_figure(figure, path)
