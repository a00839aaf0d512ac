"""Compressing a photo to a given size: the level that comes nearest, and the weight of the rate that fits."""

from __future__ import annotations

import math
from collections.abc import Callable

ENOUGH = 0.95  # share of the target that a file should have
_LARGEST_FACTOR = 32.0  # of the weight of the rate, which refining follows; beyond it, sizes hardly change
_TRIALS = 6  # bisections of that factor's logarithm

Encode = Callable[[int, float], bytes]  # from a level, and a factor of its weight of the rate in refining


def fit(encode: Encode, levels: int, most: int) -> bytes:
    """Returns the file that comes nearest to `most` bytes, and at least to 95% of them, without having more.

    Args:
        encode: makes a photo's file.
        levels: the number of levels.
        most: the target in bytes.

    Returns:
        The file. If even the smallest one has more bytes than `most`, it is that one. If even the largest one has less
        than 95%, it is that one.
    """
    below, above = 0, levels + 1
    plain: dict[int, bytes] = {}
    while above - below > 1:
        level = (below + above) // 2
        plain[level] = encode(level, 1.0)
        if len(plain[level]) <= most:
            below = level
        else:
            above = level
    files = list(plain.values())
    # The level whose own size is nearest needs the smallest change, which costs least.
    nearest = sorted(plain.keys() & {below, above}, key=lambda level: abs(math.log(len(plain[level]) / most)))
    for level in nearest:
        if any(ENOUGH * most <= len(file) <= most for file in files):
            break
        files += _files_towards(lambda factor, level=level: encode(level, factor), most, grow=level == below)
    fitting = [file for file in files if len(file) <= most]
    return max(fitting, key=len) if fitting else min(files, key=len)


def _files_towards(encode: Callable[[float], bytes], most: int, *, grow: bool) -> list[bytes]:
    """Returns files of one level, the last one with 95% to 100% of `most` bytes if this level has such a file."""
    # Exponents of the factor: at `fitting`, the file is small enough, at `too_large` it is not.
    fitting, too_large = (0.0, -1.0) if grow else (1.0, 0.0)
    files = [encode(_LARGEST_FACTOR ** (too_large if grow else fitting))]
    if (len(files[0]) <= most) == grow:  # not even the largest factor gets there
        return files
    while len(files) <= _TRIALS and not ENOUGH * most <= len(files[-1]) <= most:
        middle = (fitting + too_large) / 2
        files.append(encode(_LARGEST_FACTOR**middle))
        if len(files[-1]) <= most:
            fitting = middle
        else:
            too_large = middle
    return files
