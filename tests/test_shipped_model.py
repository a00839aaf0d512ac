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
    "barn": (522, 23.03, 522, 23.22),
    "bird": (451, 28.37, 449, 28.96),
    "mushrooms": (580, 24.10, 584, 24.26),
    "otters": (3301, 23.69, 3294, 23.95),
    "palace": (782, 19.35, 799, 19.73),
    "portrait": (907, 21.34, 914, 21.67),
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
