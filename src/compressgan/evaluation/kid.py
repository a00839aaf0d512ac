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
    """Kernel inception distance x 1000 of two sets of features, (n, d) and (m, d): about 0 if they are alike.

    It is the unbiased estimate of the squared maximum mean discrepancy with the kernel (x y / d + 1)^3 (Binkowski et
    al., arXiv 1801.01401, section 4), over all pairs. It can be a little below 0. NaN with fewer than two features in
    a set.
    """
    if min(len(real), len(made)) < 2:
        return math.nan

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a.astype(np.float64) @ b.T / a.shape[1] + 1) ** 3

    def within(a: np.ndarray) -> float:
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    return float(1000 * (within(real) + within(made) - 2 * kernel(real, made).mean()))
