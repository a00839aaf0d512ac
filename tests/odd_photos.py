"""What the tests of odd image files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compressgan.errors import CompressGANError
from compressgan.images.reading import read_photo
from conftest import make_photo

PHOTO = make_photo(48, 64)
GREY = PHOTO[..., 0]


def read(path: Path) -> tuple[np.ndarray, list[str]]:
    """Returns a photo and what was noted about it."""
    notes: list[str] = []
    return read_photo(path, notes.append), notes


def assert_reads(path: Path, expected: np.ndarray, *notes: str, tolerance: int = 1) -> None:
    """Asserts that a file is read as these pixels, with exactly these notes, or notes that hold these words."""
    found, noted = read(path)
    expected = np.broadcast_to(expected[..., np.newaxis] if expected.ndim == 2 else expected, (*expected.shape[:2], 3))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= tolerance
    assert len(noted) == len(notes), noted
    for words, text in zip(notes, noted, strict=True):
        assert words in text


def assert_refused(path: Path, words: str) -> None:
    with pytest.raises(CompressGANError, match=f"^{path}: .*{words}") as refused:
        read_photo(path)
    assert "\n" not in str(refused.value)
