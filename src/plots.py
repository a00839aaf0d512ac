"""Plots of what was measured."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # files only, also where there is a screen

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from files import replacing

LABELS = {
    "bytes": "bytes a photo",
    "bpp": "bits per pixel",
    "psnr": "PSNR, dB",
    "ms_ssim": "MS-SSIM",
    "ssimulacra2": "SSIMULACRA2",
    "vgg19_distance": "VGG19 distance, less is nearer",
}
METRICS = ("psnr", "ms_ssim", "ssimulacra2", "vgg19_distance")
CROP = 256  # pixels a side of a picture on the sheet


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG and closes it.

    Raises:
        CompressGANError: the file cannot be written.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)


def write_rate_distortion(path: Path, means: list[dict], photos: int) -> None:
    """Draws each metric's mean over the rate, a line a codec; metrics that nobody has are left out."""
    metrics = [name for name in METRICS if any(row[name] is not None for row in means)]
    figure, axes = plt.subplots(1, len(metrics), figsize=(5.5 * len(metrics), 4.5), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for codec in dict.fromkeys(row["codec"] for row in means):
            points = [(row["bpp"], row[metric]) for row in means if row["codec"] == codec and row[metric] is not None]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o" if len(points) > 1 else "*", markersize=7, label=codec)
        axis.set_xlabel("bits per pixel of the whole file")
        axis.set_ylabel(LABELS[metric])
        axis.grid(alpha=0.3)
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.suptitle(f"means over {photos} photos" if photos > 1 else "one photo")
    save_figure(figure, path)


def write_crops(path: Path, rows: list[list[tuple[str, np.ndarray]]]) -> None:
    """Draws a sheet of the middles of photos, (H, W, 3) uint8 with a caption each, a row a photo, pixel by pixel."""
    columns = max(map(len, rows))
    side = CROP / 100
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(1.06 * side * columns, 1.16 * side * len(rows)), squeeze=False
    )
    for line, row in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, (caption, photo) in zip(line, row, strict=False):
            top, left = (max(0, (length - CROP) // 2) for length in photo.shape[:2])
            axis.imshow(photo[top : top + CROP, left : left + CROP], interpolation="nearest")
            axis.set_title(caption, fontsize=8)
    figure.tight_layout(pad=0.3)
    save_figure(figure, path)


def write_bars(path: Path, rows: list[dict], title: str) -> None:
    """Draws each figure of `rows` as bars, one a row, named by its `row`."""
    metrics = [name for name in LABELS if name in rows[0]]
    figure, axes = plt.subplots(1, len(metrics), figsize=(3.5 * len(metrics), 0.5 * len(rows) + 1.5), squeeze=False)
    names = [row["row"] for row in rows][::-1]
    for axis, metric in zip(axes[0], metrics, strict=True):
        values = [row[metric] for row in rows][::-1]
        axis.bar_label(axis.barh(names, values, color="#5588bb"), fmt="%.4g", padding=3)
        # Files are compared with nothing; decibels and similarities with each other, from near the least.
        least = 0.0 if metric in ("bytes", "bpp") else min(values) - 0.5 * (max(values) - min(values))
        axis.set_xlim(least, max(values) + 0.25 * (max(values) - least or 1))
        axis.set_xlabel(LABELS[metric])
        axis.label_outer()
    figure.suptitle(title)
    figure.tight_layout()
    save_figure(figure, path)
