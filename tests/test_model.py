from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from compressgan.checkpoint import read_config
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.networks.model import CompressGAN


def test_save_and_load_give_the_same_model(tiny: Config, checkpoint: Path, tmp_path: Path) -> None:
    model = CompressGAN.load(checkpoint)
    assert model.config == tiny
    model.save_weights_for_inference(tmp_path, step=7)
    again = CompressGAN.load(tmp_path)
    inputs = tf.random.uniform((1, 32, 48, 3), -1, 1, seed=1), tf.constant([4]), tf.constant([1.0])
    np.testing.assert_array_equal(model(*inputs), again(*inputs))
    assert model.fingerprint() == again.fingerprint()
    assert json.loads((tmp_path / "config.json").read_text())["step"] == 7


def test_fingerprint_changes_with_any_weight(checkpoint: Path) -> None:
    model = CompressGAN.load(checkpoint)
    before = model.fingerprint()
    for variable in (model.generator.weights[-1], model.encoder.weights[0], model.quantizer.weights[0]):
        old = variable.numpy()
        variable.assign(old + 0.01)
        assert model.fingerprint() != before
        variable.assign(old)
    assert model.fingerprint() == before


def test_checkpoints_from_before_a_training_setting_still_load(checkpoint: Path, tmp_path: Path) -> None:
    """A setting that shapes the model must be there."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "run"))
    describe(folder, lambda settings: settings.pop("ema_decay"))
    assert CompressGAN.load(folder).config.ema_decay == Config().ema_decay
    describe(folder, lambda settings: settings.pop("block_norm"))
    with pytest.raises(CompressGANError, match=r"model\.weights\.h5: not valid .*missing setting: block_norm"):
        CompressGAN.load(folder)


def describe(folder: Path, change: Callable[[dict], object]) -> None:
    """Changes the settings in a weights file."""
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        description = json.loads(file.attrs["description"])
        change(description["config"])
        file.attrs["description"] = json.dumps(description)


def test_a_reader_between_two_writes_sees_one_model(checkpoint: Path, tmp_path: Path) -> None:
    """The weights file is replaced before `config.json`, and describes itself."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "run"))
    before = (folder / "config.json").read_text()
    trained = CompressGAN.load(folder)
    trained.quantizer.weights[0].assign_add(tf.ones(5))
    trained.save_weights_for_inference(folder, step=1)
    (folder / "config.json").write_text(before)
    assert CompressGAN.load(folder).fingerprint() == trained.fingerprint()


def test_mixed_precision_keeps_the_ends_in_float32(tiny: Config) -> None:
    model = CompressGAN(tiny.replace(precision="mixed_bfloat16"))
    assert model.encoder.get_layer("stem").compute_dtype == "bfloat16"
    assert model.encoder.output.dtype == "float32"
    assert model.generator.output.dtype == "float32"
    assert model.quantizer.compute_dtype == "float32"
    assert CompressGAN(tiny).encoder.get_layer("stem").compute_dtype == "float32"


def test_damaged_checkpoints_say_what_is_wrong(checkpoint: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(checkpoint, tmp_path / name))

    with pytest.raises(CompressGANError, match=r"nowhere/config\.json: no such file"):
        CompressGAN.load(tmp_path / "nowhere")

    folder = copy("no-weights")
    (folder / "model.weights.h5").unlink()
    with pytest.raises(CompressGANError, match=r"model\.weights\.h5: no such file"):
        CompressGAN.load(folder)

    folder = copy("cut-weights")
    data = (folder / "model.weights.h5").read_bytes()
    (folder / "model.weights.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(CompressGANError, match=r"model\.weights\.h5: damaged"):
        CompressGAN.load(folder)

    folder = copy("other-weights")
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        file["quantizer/centers"][0] += 1
    with pytest.raises(CompressGANError, match="not the weights that"):
        CompressGAN.load(folder)

    folder = copy("no-settings")
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        del file.attrs["description"]
    with pytest.raises(CompressGANError, match=r"model\.weights\.h5: has no settings"):
        CompressGAN.load(folder)

    folder = copy("other-settings")
    describe(folder, lambda settings: settings.update(latent_channels=6))
    with pytest.raises(CompressGANError, match=r"encoder/bottleneck/kernel has shape"):
        CompressGAN.load(folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"centers"', '"center"'))
    with pytest.raises(CompressGANError, match=r"config\.json: not valid checkpoint settings"):
        read_config(folder)
    (folder / "config.json").write_bytes(text.encode("utf-16")[:-1])
    with pytest.raises(CompressGANError, match="not valid checkpoint settings"):
        read_config(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(CompressGANError, match=r"config\.json: not valid checkpoint settings"):
        read_config(folder)
