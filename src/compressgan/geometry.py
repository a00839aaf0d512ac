"""Sizes that the networks, the file format and the image readers agree on."""

from __future__ import annotations

STRIDE = 16  # pixels per side of one latent position
MAX_SIDE = 2**20 - 1  # pixels per side of a photo
MAX_PIXELS = 2**28  # per photo


def size_fits(height: int, width: int) -> bool:
    """Returns whether the `.bin` format can hold a photo of this size."""
    return 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and height * width <= MAX_PIXELS


def latent_size(height: int, width: int) -> tuple[int, int]:
    """Returns the rows and columns of the latents of a photo of height x width pixels."""
    return -(-height // STRIDE), -(-width // STRIDE)


def bits_per_pixel(size: int, height: int, width: int) -> float:
    """Returns the rate of a file of `size` bytes that holds a photo of height x width pixels."""
    return 8 * size / (height * width)
