"""Telling photos from the pictures that an earlier call wrote beside their `.bin` files."""

from __future__ import annotations

import re
from pathlib import Path, PurePath, PurePosixPath

from compressgan.errors import logger
from compressgan.images.reading import is_named_as_photo, is_photo


def is_original(path: Path) -> bool:
    """Returns whether a file is a photo, and not a picture that an earlier call made."""
    return not is_made(path) and is_photo(path)


def is_made(path: Path) -> bool:
    """Returns whether a file is a picture that an earlier call made, and says so if it is."""
    binary = _made_from(path)
    return binary is not None and binary.exists() and not _left_out(path, binary)


def is_original_by_name(path: PurePosixPath, others: set[str]) -> bool:
    """Returns the same for a file elsewhere, from its path and those of all files there."""
    binary = _made_from(path)
    return is_named_as_photo(path) if str(binary) not in others else _left_out(path, binary)


def _made_from(path: PurePath) -> PurePath | None:
    """Returns the path of the `.bin` file that a reconstruction or comparison was made from, by its name."""
    made = re.fullmatch(r"(.+)_(?:reconstructed|comparison)\.(?:png|webp|jpg)", path.name)
    return path.with_name(f"{made[1]}.bin") if made else None


def _left_out(path: PurePath, binary: PurePath) -> bool:
    logger.warning(f"{path}: left out, because an earlier call made it from {binary.name}")
    return False
