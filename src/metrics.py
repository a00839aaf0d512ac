"""Measures of a reconstruction, all on 8-bit photos and on the bytes of the whole `.bin` file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from codec import Codec

MS_SSIM_MIN_SIDE = 161  # five scales with an 11-pixel window: (161 + 15) // 16 = 11


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

    def __str__(self) -> str:
        similarity = "" if math.isnan(self.ms_ssim) else f", MS-SSIM {self.ms_ssim:.4f}"
        return (
            f"{self.file}: {self.width} x {self.height}, {self.bytes:,} bytes, {self.bpp:.4f} bpp "
            f"(bound {self.bound_bpp:.4f}), PSNR {self.psnr:.2f} dB{similarity}"
        )


def measure(codec: Codec, photo: np.ndarray) -> tuple[Figures, np.ndarray]:
    """Compresses a photo (H, W, 3) uint8 and decodes it; returns figures and reconstruction."""
    data = codec.compress(photo)
    reconstruction = codec.decompress(data)
    return compare(codec, photo, data, reconstruction), reconstruction


def compare(codec: Codec, photo: np.ndarray, data: bytes, reconstruction: np.ndarray, file: str = "") -> Figures:
    """Measures a reconstruction (H, W, 3) uint8 against its photo, and the bytes of its `.bin`."""
    height, width = photo.shape[:2]
    return Figures(
        file=file,
        width=width,
        height=height,
        bytes=len(data),
        bpp=8 * len(data) / (height * width),
        bound_bpp=codec.bound(height, width),
        psnr=psnr(photo, reconstruction),
        ms_ssim=ms_ssim(photo, reconstruction),
    )


def mean(rows: list[Figures], name: str) -> float:
    """Returns the mean of one figure over the photos that have it; NaN where none has."""
    known = [value for row in rows if not math.isnan(value := getattr(row, name))]
    return float(np.mean(known)) if known else math.nan


def mean_line(rows: list[Figures]) -> str:
    """Returns the mean figures of several photos as a person reads them."""
    return (
        f"mean of {len(rows)}: {mean(rows, 'bytes'):,.0f} bytes, {mean(rows, 'bpp'):.4f} bpp, "
        f"PSNR {mean(rows, 'psnr'):.2f} dB, MS-SSIM {mean(rows, 'ms_ssim'):.4f}"
    )


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels of two (H, W, 3) uint8 photos; inf when they are equal."""
    mse = np.mean(np.square(x.astype(np.float64) - y.astype(np.float64)))
    return math.inf if mse == 0 else float(10 * math.log10(255.0**2 / mse))


def ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Multiscale structural similarity (Wang et al. 2003) of two (H, W, 3) uint8 photos, mean over RGB.

    NaN when a side is under `MS_SSIM_MIN_SIDE` pixels, where the five scales are not defined.
    """
    if min(x.shape[:2]) < MS_SSIM_MIN_SIDE:
        return math.nan
    return float(_ms_ssim(x[np.newaxis], y[np.newaxis])[0])


@tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)] * 2)
def _ms_ssim(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.image.ssim_multiscale(x, y, 255)
