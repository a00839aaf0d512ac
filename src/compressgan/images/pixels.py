"""Conversion between 8-bit pixels and the networks' range of values."""

from __future__ import annotations

import numpy as np


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 pixels to float32 in [-1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1.0


def to_uint8(photo: np.ndarray) -> np.ndarray:
    """Scales float pixels in [-1, 1] to uint8, rounding to the nearest value and clipping."""
    return np.clip(np.rint((photo + 1.0) * 127.5), 0, 255).astype(np.uint8)
