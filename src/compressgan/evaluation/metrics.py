"""Measures of a reconstruction, all on 8-bit photos and on the bytes of the whole `.bin` file."""

from __future__ import annotations

import io
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from PIL import Image
from ssimulacra2 import compute_ssimulacra2

if TYPE_CHECKING:
    from codec import Codec

MS_SSIM_MIN_SIDE = 161  # five scales with an 11-pixel window: (161 + 15) // 16 = 11
SSIMULACRA2_MIN_SIDE = 8  # below, it has no scale to work on
SSIMULACRA2_MAX_PIXELS = 2**21  # above, it would need more than a gigabyte

_STRIP = 256  # rows whose squared error is taken at once
_one_at_a_time = threading.Lock()  # MS-SSIM takes 30 times the memory of a photo


@dataclass(frozen=True)
class Figures:
    """What was measured of one photo. Unknown figures are NaN."""

    file: str  # as found under the input folder
    width: int  # pixels
    height: int  # pixels
    original_bytes: float  # of the file that the photo came in
    bytes: int  # of the whole .bin file
    ratio: float  # original_bytes / bytes
    bpp: float  # bits per pixel of the whole .bin file
    bound_bpp: float  # the most that the latents could need without entropy coding, bits per pixel
    psnr: float  # dB, on 8-bit RGB
    ms_ssim: float  # NaN for photos too small for it
    ssimulacra2: float  # only where asked for, since it takes longer than the codec; 100 is the original

    def __str__(self) -> str:
        similarity = "".join(
            f", {label} {value:{digits}}"
            for label, value, digits in (("MS-SSIM", self.ms_ssim, ".4f"), ("SSIMULACRA2", self.ssimulacra2, ".1f"))
            if not math.isnan(value)
        )
        return (
            f"{self.file}: {self.width} x {self.height}, {self.bytes:,} bytes, {self.bpp:.4f} bpp "
            f"(at most {self.bound_bpp:.4f}), PSNR {self.psnr:.2f} dB{similarity}"
        )


def compare(
    codec: Codec,
    photo: np.ndarray,
    data: bytes,
    reconstruction: np.ndarray,
    file: str = "",
    original_bytes: float = math.nan,
    with_ssimulacra2: bool = False,
) -> Figures:
    """Measures a reconstruction (H, W, 3) uint8 against its photo, and the bytes of its `.bin`."""
    height, width = photo.shape[:2]
    return Figures(
        file=file,
        width=width,
        height=height,
        original_bytes=original_bytes,
        bytes=len(data),
        ratio=original_bytes / len(data),
        bpp=8 * len(data) / (height * width),
        bound_bpp=codec.bound(height, width),
        psnr=psnr(photo, reconstruction),
        ms_ssim=ms_ssim(photo, reconstruction),
        ssimulacra2=ssimulacra2(photo, reconstruction) if with_ssimulacra2 else math.nan,
    )


def mean(rows: list, name: str) -> float:
    """Returns the mean of one figure over the photos where it is known and finite; NaN where that is none."""
    values = [value for row in rows if math.isfinite(value := getattr(row, name))]
    return float(np.mean(values)) if values else math.nan


def known(value: float | str) -> float | str | None:
    """Returns a figure as a table holds it: None where it is not known or infinite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def mean_line(rows: list[Figures]) -> str:
    """Returns the mean figures of several photos as a person reads them."""
    similarity = ""
    for label, name, digits in (("MS-SSIM", "ms_ssim", ".4f"), ("SSIMULACRA2", "ssimulacra2", ".1f")):
        count = sum(math.isfinite(getattr(row, name)) for row in rows)
        if count:
            similarity += f", {label} {mean(rows, name):{digits}}" + (f" (of {count})" if count < len(rows) else "")
    return (
        f"mean of {len(rows)}: {mean(rows, 'bytes'):,.0f} bytes, {mean(rows, 'bpp'):.4f} bpp, "
        f"PSNR {mean(rows, 'psnr'):.2f} dB{similarity}"
    )


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels of two (H, W, 3) uint8 photos; inf when they are equal."""
    total = 0
    for top in range(0, x.shape[0], _STRIP):
        difference = x[top : top + _STRIP].astype(np.int32) - y[top : top + _STRIP]
        total += int(np.sum(np.square(difference), dtype=np.int64))
    return 10 * math.log10(255.0**2 * x.size / total) if total else math.inf


def ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Multiscale structural similarity (Wang et al. 2003) of two (H, W, 3) uint8 photos, mean over RGB.

    NaN when a side is under `MS_SSIM_MIN_SIDE` pixels, where the five scales are not defined.
    """
    if min(x.shape[:2]) < MS_SSIM_MIN_SIDE:
        return math.nan
    # A channel at a time, since large photos would need gigabytes otherwise.
    with _one_at_a_time:
        channels = [_ms_ssim(x[np.newaxis, ..., i, np.newaxis], y[np.newaxis, ..., i, np.newaxis]) for i in range(3)]
    return float(np.mean(channels))


@tf.function(input_signature=[tf.TensorSpec((1, None, None, 1), tf.uint8)] * 2)
def _ms_ssim(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.image.ssim_multiscale(x, y, 255)


def ssimulacra2(x: np.ndarray, y: np.ndarray) -> float:
    """SSIMULACRA2 (Sneyers 2023) of two (H, W, 3) uint8 photos: 100 for equal ones, 30 low quality, below 0 awful.

    NaN for a side of less than `SSIMULACRA2_MIN_SIDE` pixels, and for more than `SSIMULACRA2_MAX_PIXELS` in all.
    """
    if min(x.shape[:2]) < SSIMULACRA2_MIN_SIDE or x.shape[0] * x.shape[1] > SSIMULACRA2_MAX_PIXELS:
        return math.nan
    files = [io.BytesIO(), io.BytesIO()]
    for file, pixels in zip(files, (x, y), strict=True):
        Image.fromarray(pixels).save(file, format="BMP")
    return float(compute_ssimulacra2(*files))
