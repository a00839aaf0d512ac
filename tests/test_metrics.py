from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import make_photo

from metrics import MS_SSIM_MIN_SIDE, bits_per_pixel, ms_ssim, psnr


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


def test_bits_per_pixel() -> None:
    assert bits_per_pixel(600, 256, 320) == pytest.approx(0.05859375)
