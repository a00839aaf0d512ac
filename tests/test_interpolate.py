from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from compressgan.config import Config
from compressgan.networks.model import CompressGAN
from conftest import assert_one_error_line, generate, run_cli


@pytest.fixture
def other(tiny: Config, tmp_path: Path) -> Path:
    """A checkpoint with the same shapes as `checkpoint`."""
    keras.utils.set_random_seed(2)
    folder = tmp_path / "other"
    folder.mkdir()
    CompressGAN(tiny.replace(distortion_coeff=3.0)).save_weights_for_inference(folder, step=5)
    return folder


def test_weights_lie_between_those_of_the_two(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    result = run_cli("interpolate.py", checkpoint, other, "-o", tmp_path / "new" / "mixed", "--share", 0.25)
    assert result.returncode == 0, result.stderr
    first, second, mixed = (CompressGAN.load(folder) for folder in (checkpoint, other, tmp_path / "new" / "mixed"))
    assert mixed.config == second.config
    changed = 0
    for a, b, c in zip(first.weights, second.weights, mixed.weights, strict=True):
        np.testing.assert_allclose(c, 0.75 * a + 0.25 * b, rtol=2e-3, atol=1e-4)  # stored in half precision
        changed += not np.allclose(a, c, rtol=2e-2)
    assert changed > 10


def test_more_realism_with_the_same_latents(checkpoint: Path, tmp_path: Path) -> None:
    """Where both encode alike, the first one's prior stays, and realism 1 is what twice the realism was."""
    second = CompressGAN.load(checkpoint)
    second.prior.set_weights([weight + 0.5 for weight in second.prior.get_weights()])
    second.save_weights_for_inference(tmp_path / "second", step=0)
    arguments = (checkpoint, tmp_path / "second", "-o", tmp_path / "mixed", "--realism", 2)
    result = run_cli("interpolate.py", *arguments)
    assert result.returncode == 0, result.stderr
    first, mixed = (CompressGAN.load(folder) for folder in (checkpoint, tmp_path / "mixed"))
    for a, b in zip(first.prior.get_weights(), mixed.prior.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    latents = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    for found, expected in ((1.0, 2.0), (0.0, 0.0)):
        shown = generate(mixed.generator, latents, realism=found), generate(first.generator, latents, realism=expected)
        np.testing.assert_allclose(*shown, rtol=0.01, atol=0.01)
    assert np.abs(generate(mixed.generator, latents, realism=1.0) - shown[0]).max() > 0.05


def test_errors(tiny: Config, one_rate: Config, checkpoint: Path, other: Path, tmp_path: Path) -> None:
    new = ("-o", tmp_path / "new")
    assert_one_error_line(run_cli("interpolate.py", checkpoint, other, "-o", other), "other: already exists", code=2)
    assert_one_error_line(run_cli("interpolate.py", checkpoint, other, *new, "--share", 1.5), "--share", code=2)
    result = run_cli("interpolate.py", checkpoint, other, *new, "--realism", -1)
    assert (result.returncode, "-1 is not a number from 0 to 4" in result.stderr) == (2, True)
    assert_one_error_line(run_cli("interpolate.py", checkpoint, tmp_path / "none", *new), "none")
    CompressGAN(one_rate).save_weights_for_inference(tmp_path / "plain", step=0)
    result = run_cli("interpolate.py", tmp_path / "plain", tmp_path / "plain", *new, "--realism", 2)
    assert_one_error_line(result, "--realism has no effect", "plain was trained without realism", code=2)
    CompressGAN(tiny.replace(generator_blocks=2)).save_weights_for_inference(other, step=0)
    assert_one_error_line(run_cli("interpolate.py", checkpoint, other, *new), "other: generator_blocks is 2, but 1 in")
    assert not (tmp_path / "new").exists()
