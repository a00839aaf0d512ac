"""Pillow's process-wide limit on pixels, while photos are read."""

from __future__ import annotations

import threading

from PIL import Image

from compressgan.geometry import MAX_PIXELS


class _PixelLimitLifted:
    """Raises Pillow's process-wide limit on pixels to ours for as long as any thread is reading."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                # Pillow refuses pictures of more than twice its limit before it takes memory for them.
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                Image.MAX_IMAGE_PIXELS = self._limit


pixel_limit_lifted = _PixelLimitLifted()
