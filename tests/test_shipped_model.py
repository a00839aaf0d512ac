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
    "barn": (515, 22.72, 507, 22.96),
    "bird": (432, 28.09, 436, 28.56),
    "mushrooms": (577, 23.81, 579, 24.09),
    "otters": (3190, 23.40, 3206, 23.62),
    "palace": (857, 19.54, 886, 19.91),
    "portrait": (888, 21.25, 894, 21.55),
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
