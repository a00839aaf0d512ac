from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import make_photo

from codec import Codec
from metrics import MS_SSIM_MIN_SIDE, mean, measure, ms_ssim, psnr


def test_psnr_is_on_8_bit_values() -> None:
    x = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(x, x) == math.inf
    assert psnr(x, x + 1) == pytest.approx(20 * math.log10(255))
    # uint8 differences must not wrap around.
    assert psnr(x, x - 50) == pytest.approx(20 * math.log10(255 / 50))


def test_ms_ssim() -> None:
    x = make_photo(MS_SSIM_MIN_SIDE, 200)
    noise = np.random.default_rng(0).normal(0, 40, x.shape)
    y = np.clip(x + noise, 0, 255).astype(np.uint8)
    assert ms_ssim(x, x) == pytest.approx(1.0)
    assert 0.2 < ms_ssim(x, y) < 0.99
    assert math.isnan(ms_ssim(x[:-1], y[:-1]))


def test_measure_uses_the_real_bytes_and_means_leave_out_what_is_not_known(checkpoint: Path) -> None:
    codec = Codec.load(checkpoint)
    photos = [make_photo(40, 50), make_photo(170, 180)]
    measured = [measure(codec, photo) for photo in photos]
    for photo, (figures, reconstruction) in zip(photos, measured, strict=True):
        assert figures.bytes == len(codec.compress(photo))
        assert figures.bpp == pytest.approx(8 * figures.bytes / (photo.shape[0] * photo.shape[1]))
        assert figures.psnr == psnr(photo, reconstruction)
    rows = [figures for figures, _ in measured]
    assert mean(rows, "psnr") == pytest.approx((rows[0].psnr + rows[1].psnr) / 2)
    assert mean(rows, "ms_ssim") == rows[1].ms_ssim
    assert math.isnan(mean(rows[:1], "ms_ssim"))
