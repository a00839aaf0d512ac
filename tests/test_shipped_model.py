"""The shipped model gives the files, the figures and the picture that it gave when it was shipped."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from compressgan import Codec
from compressgan.evaluation.metrics import psnr
from compressgan.images.reading import read_photo
from conftest import ROOT

# Of the sample photos: bytes and PSNR in dB without refining, then by default.
FIGURES = {
    "barn": (613, 23.14, 605, 23.55),
    "bird": (482, 28.82, 479, 29.80),
    "mushrooms": (617, 25.12, 611, 25.79),
    "otters": (4196, 24.37, 4121, 24.85),
    "palace": (811, 19.60, 816, 20.12),
    "portrait": (989, 21.65, 973, 22.17),
}


@pytest.fixture(scope="module")
def codecs() -> tuple[Codec, Codec]:
    return Codec.load(effort=0), Codec.load()


@pytest.mark.parametrize("name", FIGURES)
def test_bytes_and_psnr_of_the_samples(codecs: tuple[Codec, Codec], name: str) -> None:
    photo = read_photo(ROOT / "images" / f"{name}.jpg")
    expected = FIGURES[name]
    for codec, size, decibels, tolerance in zip(codecs, expected[::2], expected[1::2], (0, 2), strict=True):
        data = codec.compress(photo)
        # A processor that rounds differently may move a refined latent to the neighbouring center.
        assert abs(len(data) - size) <= tolerance
        assert psnr(photo, codec.decompress(data)) == pytest.approx(decibels, abs=0.02)


def test_golden_reconstruction(codecs: tuple[Codec, Codec]) -> None:
    golden = ROOT / "tests" / "golden"
    found = codecs[0].decompress((golden / "bird.bin").read_bytes()).astype(int)
    expected = np.asarray(Image.open(golden / "bird.webp").convert("RGB"))
    assert np.abs(found - expected).max() <= 1
