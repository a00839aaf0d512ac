"""CompressGAN: learned image compression at extreme rates.

    from compressgan import Codec

    codec = Codec.load()              # the shipped model, or Codec.load("path/to/checkpoint")
    data = codec.compress(image)      # a path, NumPy (H, W, 3) uint8 or a Pillow image -> the bytes of a .bin file
    photo = codec.decompress(data)    # -> NumPy (H, W, 3) uint8

The names below are imported on first use, so `import compressgan` alone takes almost no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from compressgan.version import __version__

if TYPE_CHECKING:
    from compressgan.codec import Codec
    from compressgan.config import Config
    from compressgan.errors import CompressGANError

__all__ = ["Codec", "CompressGANError", "Config", "__version__"]

_HOMES = {"Codec": "codec", "Config": "config", "CompressGANError": "errors"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'compressgan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"compressgan.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
