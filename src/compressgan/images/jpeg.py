"""Finding corrupt JPEG data, which libjpeg, and therefore Pillow, reads without an error."""

from __future__ import annotations

from typing import BinaryIO

import simplejpeg

_CORRUPT = "Corrupt JPEG data"  # libjpeg's words


def corruption(file: BinaryIO) -> str | None:
    """Returns what libjpeg reports about damaged data of a JPEG file, or None.

    The file is decoded once more, to an eighth of its size, which takes little more than reading its codes.
    """
    file.seek(0)
    try:
        simplejpeg.decode_jpeg(file.read(), "GRAY", fastdct=True, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        if _CORRUPT in str(error):
            return str(error)
    return None
