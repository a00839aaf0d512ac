"""Measures of a reconstruction, all on 8-bit photos."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

MS_SSIM_MIN_SIDE = 161  # five scales with an 11-pixel window: (161 + 15) // 16 = 11


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


def bits_per_pixel(size: int, height: int, width: int) -> float:
    """Bits per pixel of a file of `size` bytes."""
    return 8 * size / (height * width)
