"""Masks: which parts of a photo matter (selective compression, section 3.3 of Agustsson et al., arXiv 1804.02958)."""

from __future__ import annotations

import numpy as np
from PIL import Image

from compressgan.errors import CompressGANError
from compressgan.geometry import STRIDE
from compressgan.images.reading import ImageLike, as_photo

_BLACK = 8  # grey values below count as black, because JPEG leaves traces beside edges


def importance(mask: ImageLike, height: int, width: int) -> np.ndarray:
    """Returns how much each pixel of a photo matters, (height, width) float32 from 0 to 1.

    Args:
        mask: a picture of any size, as `images.reading.as_photo` accepts it, which is stretched to the photo's size:
            white where quality matters, black where it does not.
        height, width: the photo's.

    Raises:
        CompressGANError: the picture cannot be read, or is black everywhere.
    """
    grey = Image.fromarray(as_photo(mask)).convert("L").resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(grey)
    if values.max() < _BLACK:
        raise CompressGANError("the mask is black everywhere, so nothing would matter")
    return np.where(values < _BLACK, np.float32(0), values / np.float32(255))


def free_positions(importance: np.ndarray) -> np.ndarray:
    """Returns which latent positions no pixel that matters depends on strongly, (h, w) bool.

    The pixels of such a position and of its eight neighbours are black. A generator sees further, but only faintly.

    Args:
        importance: (16 h, 16 w), as `importance` returns it.
    """
    rows, columns = (side // STRIDE for side in importance.shape)
    black = importance.reshape(rows, STRIDE, columns, STRIDE).max(axis=(1, 3)) == 0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(black, 1, constant_values=True), (3, 3))
    return around.all(axis=(2, 3))
