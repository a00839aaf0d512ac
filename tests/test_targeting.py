from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compressgan.codec import Codec
from compressgan.images.reading import read_photo
from compressgan.targeting import ENOUGH, fit
from conftest import ROOT

LARGEST, SMALLEST = 1.17, 0.82  # of a level's own size, as refinement changes it


class Photo:
    """Stands for a photo whose files grow by a third from level to level, and a little with less weight of the rate."""

    def __init__(self, bytes_at_level_1: float, step: float) -> None:
        self.bytes, self.step, self.made = bytes_at_level_1, step, 0

    def encode(self, level: int, factor: float) -> bytes:
        self.made += 1
        change = min(LARGEST, max(SMALLEST, factor**-0.06))
        return bytes(round(self.bytes * self.step ** (level - 1) * change))


@given(st.floats(300, 30_000), st.floats(1.25, 1.4), st.integers(1, 12), st.floats(0, 1))
def test_every_size_in_range_is_reached(bytes_at_level_1: float, step: float, levels: int, place: float) -> None:
    photo = Photo(bytes_at_level_1, step)
    smallest, largest = SMALLEST * bytes_at_level_1, LARGEST * bytes_at_level_1 * step ** (levels - 1)
    most = round(smallest * (largest / smallest) ** place) + 1
    size = len(fit(photo.encode, levels, most))
    assert ENOUGH * most <= size <= most
    assert photo.made <= 4 + 2 * 7


@given(st.floats(300, 30_000), st.integers(1, 12), st.floats(1.01, 100))
def test_out_of_range_the_nearest_file_is_taken(bytes_at_level_1: float, levels: int, off: float) -> None:
    photo = Photo(bytes_at_level_1, 1.3)
    smallest, largest = photo.encode(1, 1e9), photo.encode(levels, 1e-9)
    assert fit(photo.encode, levels, round(len(smallest) / off) - 1 or 1) == smallest
    assert fit(photo.encode, levels, round(len(largest) * off) + 1) == largest


def test_without_refinement_the_best_level_is_taken() -> None:
    sizes = [100, 130, 170, 220]
    made = fit(lambda level, factor: bytes(sizes[level - 1]), 4, 180)
    assert len(made) == 170


def test_a_real_photo() -> None:
    codec = Codec.load()
    photo = read_photo(ROOT / "images" / "bird.jpg")
    usual = len(codec.compress(photo))
    most = round(0.9 * usual)
    data = codec.compress(photo, size=most)
    assert ENOUGH * most <= len(data) <= most
    assert codec.compress(photo, bpp=8 * (most + 0.5) / (photo.size / 3)) == data
    largest = len(codec.compress(photo, codec.levels))
    assert largest <= len(codec.compress(photo, size=10 * usual)) < 1.3 * largest
