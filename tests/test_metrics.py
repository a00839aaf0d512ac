from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import structural_similarity

from compressgan.codec import Codec
from compressgan.evaluation import metrics
from compressgan.evaluation.metrics import MS_SSIM_MIN_SIDE, Means, compare, mean_line, ms_ssim, psnr, ssim, ssimulacra2
from conftest import make_photo


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


def test_psnr_of_many_strips() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2, 700, 30, 3), dtype=np.uint8)
    assert psnr(x, y) == pytest.approx(10 * math.log10(255**2 / np.mean((x.astype(float) - y) ** 2)))


def test_ms_ssim_is_tensorflows() -> None:
    x, y = make_photo(170, 180), make_photo(170, 180, seed=1) // 2 + make_photo(170, 180) // 2
    assert ms_ssim(x, y) == pytest.approx(float(tf.image.ssim_multiscale(x[np.newaxis], y[np.newaxis], 255)[0]), 1e-4)


def test_ssimulacra2() -> None:
    x = make_photo(40, 50)
    assert ssimulacra2(x, x) == pytest.approx(100)
    noisy, noisier = (
        np.clip(x + np.random.default_rng(0).normal(0, d, x.shape), 0, 255).astype(np.uint8) for d in (5, 50)
    )
    assert ssimulacra2(x, noisier) < ssimulacra2(x, noisy) < 100
    assert math.isnan(ssimulacra2(x[:7], noisy[:7]))


def test_figures_are_of_the_real_bytes_and_means_leave_out_what_is_not_known(checkpoint: Path) -> None:
    codec = Codec.load(checkpoint)
    rows = []
    for photo in (make_photo(40, 50), make_photo(170, 180)):
        data = codec.compress(photo)
        reconstruction = codec.decompress(data)
        figures = compare(codec, photo, data, reconstruction, file="a.jpg", original_bytes=5000)
        assert figures.bytes == len(data)
        assert figures.bpp == pytest.approx(8 * len(data) / (photo.shape[0] * photo.shape[1]))
        assert figures.ratio == pytest.approx(5000 / len(data))
        assert figures.psnr == psnr(photo, reconstruction)
        assert math.isnan(figures.ssimulacra2)
        rows.append(figures)
    means = Means(rows)
    assert means.of("psnr") == pytest.approx((rows[0].psnr + rows[1].psnr) / 2)
    assert means.of("ms_ssim") == rows[1].ms_ssim
    assert math.isnan(Means(rows[:1]).of("ms_ssim"))
    assert mean_line(rows).endswith(f"MS-SSIM {rows[1].ms_ssim:.4f} (of 1)")
    exact = replace(rows[0], psnr=math.inf)
    assert "PSNR inf dB" in mean_line([exact, exact])
    assert f"PSNR {rows[0].psnr:.2f} dB" in mean_line([exact, rows[0]])


def test_ssim_and_ms_ssim_of_many_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    x = make_photo(333, 180)
    y = np.clip(x + np.random.default_rng(0).normal(0, 20, x.shape), 0, 255).astype(np.uint8)
    whole = structural_similarity(
        x, y, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2
    )
    at_once = ms_ssim(x, y)
    for rows in (300, 64, 7):
        monkeypatch.setattr(metrics, "_STRIP", rows)
        assert ssim(x, y) == pytest.approx(whole, abs=1e-5)
        assert ms_ssim(x, y) == pytest.approx(at_once, abs=1e-6)
    assert math.isnan(ssim(x[:10], y[:10]))
