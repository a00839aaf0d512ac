"""Metrics by networks: KID by InceptionV3, LPIPS."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from compressgan.cli import network_metrics
from compressgan.cli.network_metrics import load_metrics
from compressgan.errors import CompressGANError
from compressgan.evaluation.kid import PATCH, kid, patches
from conftest import make_photo, write_vgg19


def test_patches_are_a_grid_and_the_same_grid_moved_by_half_a_patch() -> None:
    photo = np.arange(600 * 530 * 3).reshape(600, 530, 3)
    found = patches(photo)
    corners = [(0, 0), (0, 256), (256, 0), (256, 256), (128, 128)]
    assert [patch[0, 0, 0] for patch in found] == [photo[y, x, 0] for y, x in corners]
    assert patches(photo[:255]).shape == (0, PATCH, PATCH, 3)


def test_kid_is_the_unbiased_estimate() -> None:
    """By the definition, pair by pair."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (6, 5)).astype(np.float32), rng.normal(0.5, 1, (6, 5)).astype(np.float32)

    def mean(u: np.ndarray, v: np.ndarray) -> float:
        pairs = [(a, b) for i, a in enumerate(u) for j, b in enumerate(v) if i != j]
        return float(np.mean([(float(a.astype(float) @ b) / 5 + 1) ** 3 for a, b in pairs]))

    assert kid(x, y) == pytest.approx(1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y)))
    assert kid(x, x) == pytest.approx(0, abs=1e-9)
    same, moved = (kid(rng.normal(0, 1, (500, 8)), rng.normal(shift, 1, (500, 8))) for shift in (0, 0.3))
    assert abs(same) < 20 < moved
    assert math.isnan(kid(x[:1], y[:1]))


def test_inception(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    path = tmp_path / "inception.weights.h5"
    keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg").save_weights(path)
    metrics = load_metrics(None, str(path), lpips=False)
    features = metrics.features(make_photo(260, 520))
    assert features.shape == (2, 2048)
    assert not np.allclose(features[0], features[1])
    assert metrics.features(make_photo(20, 20)).shape == (0, 2048)
    assert metrics.weights.startswith("InceptionV3 ")
    (tmp_path / "other.weights.h5").write_bytes(b"nothing")
    for name in ("missing.h5", "other.weights.h5"):
        with pytest.raises(CompressGANError, match=name):
            load_metrics(None, str(tmp_path / name), lpips=False)


def test_figures_of_other_weights_are_others(tmp_path: Path) -> None:
    found = load_metrics(str(write_vgg19(tmp_path / "vgg19.h5")), None, lpips=False)
    assert found.distances["vgg19_distance"](make_photo(40, 40), make_photo(40, 40, 1)) > 0
    with (tmp_path / "vgg19.h5").open("ab") as file:
        file.write(b"more")
    assert load_metrics(str(tmp_path / "vgg19.h5"), None, lpips=False).weights != found.weights


def test_lpips_gets_pictures_from_minus_1_to_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the package and of PyTorch, which are too large for the tests, doubles with the same calls."""
    seen = []

    class Tensor(SimpleNamespace):
        pass

    class LPIPS:
        def __init__(self, net: str, verbose: bool) -> None:
            assert net == "alex"

        def eval(self) -> LPIPS:
            return self

        def __call__(self, x: np.ndarray, y: np.ndarray) -> float:
            seen.extend([x, y])
            return 0.25

    class Inference:
        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=LPIPS))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=lambda x: x, inference_mode=Inference))
    monkeypatch.setattr(network_metrics, "require_extra", lambda *names: None)
    monkeypatch.setattr(network_metrics, "version", lambda name: "0.1.4")
    metrics = load_metrics(None, None, lpips=True)
    assert math.isnan(metrics.distances["lpips"](make_photo(63, 100), make_photo(63, 100)))
    photo = make_photo(64, 70)
    assert metrics.distances["lpips"](photo, 255 - photo) == 0.25
    x, y = seen
    assert x.shape == (1, 3, 64, 70)
    assert x[0, 1] == pytest.approx(photo[..., 1] / 127.5 - 1, abs=1e-6)
    assert y == pytest.approx(-x, abs=1e-6)
    assert metrics.weights == "LPIPS 0.1.4"


def test_lpips_that_is_not_installed_is_one_line() -> None:
    with pytest.raises(CompressGANError, match=r"pip install '\.\[lpips\]'"):
        load_metrics(None, None, lpips=True)
