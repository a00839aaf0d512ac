"""Masks: which parts of a photo matter (selective compression, section 3.3 of Agustsson et al., arXiv 1804.02958)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from compressgan.errors import CompressGANError
from compressgan.geometry import STRIDE
from compressgan.images.colours import ON_WHITE
from compressgan.images.reading import ImageLike, as_photo

_BLACK = 8  # grey values below count as black, because JPEG leaves traces beside edges


def read_mask(mask: ImageLike) -> np.ndarray:
    """Returns a mask as (h, w) uint8 grey.

    Args:
        mask: an image as `images.reading.as_photo` accepts it, or a bool array (h, w): white, or true, where quality
            matters, and black where it does not.

    Raises:
        CompressGANError: the mask cannot be read, is black everywhere, or is transparent somewhere, which could mean
            either.
    """
    name = f"{mask}: " if isinstance(mask, str | Path) else ""
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = np.uint8(255) * mask
    notes: list[str] = []
    grey = np.asarray(Image.fromarray(as_photo(mask, notes.append)).convert("L"))
    if ON_WHITE in notes:
        raise CompressGANError(f"{name}a mask cannot be transparent")
    if grey.max() < _BLACK:
        raise CompressGANError(f"{name}the mask is black everywhere, so nothing would matter")
    return grey


def importance(mask: ImageLike, height: int, width: int) -> np.ndarray:
    """Returns how much each pixel of a photo matters, (height, width) float32 from 0 to 1.

    Args:
        mask: as for `read_mask`. It may have any size, and is stretched to the photo's.
        height, width: the photo's.

    Raises:
        CompressGANError: as for `read_mask`, or the mask is black everywhere once it has the photo's size.
    """
    grey = Image.fromarray(read_mask(mask)).resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(grey)
    if values.max() < _BLACK:
        raise CompressGANError("the mask is black everywhere once it is scaled to the photo, so nothing would matter")
    return np.where(values < _BLACK, np.float32(0), values / np.float32(255))


def free_positions(importance: np.ndarray) -> np.ndarray:
    """Returns the latent positions that hardly affect any pixel that matters, (h, w) bool.

    The pixels of such a position and of its eight neighbours are black. A position affects pixels further away, but
    only faintly.

    Args:
        importance: (16 h, 16 w), as `importance` returns it.
    """
    rows, columns = (side // STRIDE for side in importance.shape)
    black = importance.reshape(rows, STRIDE, columns, STRIDE).max(axis=(1, 3)) == 0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(black, 1, constant_values=True), (3, 3))
    return around.all(axis=(2, 3))
