"""Kernel inception distance (KID): how real a set of pictures looks, whether or not each is near its original."""

from __future__ import annotations

import math

import numpy as np

PATCH = 256  # pixels per side


def patches(photo: np.ndarray) -> np.ndarray:
    """Cuts a photo (H, W, 3) into patches of 256 x 256: (n, 256, 256, 3), without what is left at its ends.

    They are those of a grid, and those of the same grid moved by half a patch down and right, as in the evaluation of
    HiFiC (Mentzer et al., arXiv 2006.09965, appendix A.7).
    """
    height, width = photo.shape[:2]
    found = [
        photo[top : top + PATCH, left : left + PATCH]
        for start in (0, PATCH // 2)
        for top in range(start, height - PATCH + 1, PATCH)
        for left in range(start, width - PATCH + 1, PATCH)
    ]
    return np.stack(found) if found else np.zeros((0, PATCH, PATCH, 3), photo.dtype)


def kid(real: np.ndarray, made: np.ndarray) -> float:
    """Kernel inception distance x 1000 of patches and of the same patches as decoded, by their features (n, d) each.

    It is the squared maximum mean discrepancy with the kernel (x y / d + 1)^3 (Binkowski et al., arXiv 1801.01401,
    section 4), estimated without bias: since the sets are paired, no patch is compared with itself or with its own
    decoded one (Gretton et al. 2012, lemma 6). It is 0 for equal sets, and can be below 0. NaN with fewer than two
    patches.
    """
    count = len(real)
    if count < 2:
        return math.nan

    def between(a: np.ndarray, b: np.ndarray) -> float:
        values = (a.astype(np.float64) @ b.T / a.shape[1] + 1) ** 3
        return (values.sum() - np.trace(values)) / (count * (count - 1))

    return float(1000 * (between(real, real) + between(made, made) - 2 * between(real, made)))
