"""What a compression call leaves beside the `.bin` files: comparison pictures and the table of figures."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from files import replacing
from photo import write_png


@dataclass(frozen=True)
class Figures:
    """What was measured of one photo."""

    file: str  # as found under the input folder
    width: int  # pixels
    height: int  # pixels
    bytes: int  # of the whole .bin file
    bpp: float  # bits per pixel of the whole .bin file
    bound_bpp: float  # the most that the latents could need without entropy coding, bits per pixel
    psnr: float  # dB, on 8-bit RGB
    ms_ssim: float  # NaN for photos too small for it

    def line(self) -> str:
        """Returns the figures as a person reads them."""
        similarity = "" if math.isnan(self.ms_ssim) else f", MS-SSIM {self.ms_ssim:.4f}"
        return (
            f"{self.file}: {self.width} x {self.height}, {self.bytes:,} bytes, {self.bpp:.4f} bpp "
            f"(bound {self.bound_bpp:.4f}), PSNR {self.psnr:.2f} dB{similarity}"
        )


def mean_line(rows: list[Figures]) -> str:
    """Returns the mean figures of several photos as a person reads them."""
    similarities = [row.ms_ssim for row in rows if not math.isnan(row.ms_ssim)]
    similarity = f", MS-SSIM {np.mean(similarities):.4f}" if similarities else ""
    return (
        f"mean of {len(rows)}: {np.mean([row.bytes for row in rows]):,.0f} bytes, "
        f"{np.mean([row.bpp for row in rows]):.4f} bpp, PSNR {np.mean([row.psnr for row in rows]):.2f} dB{similarity}"
    )


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
