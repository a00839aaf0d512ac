"""LiteRT runs the same networks as TensorFlow, and compressing and reconstructing need nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from compressgan import Codec, CompressGANError, runtime
from compressgan.checkpoint import CENTERS, DESCRIPTION, WEIGHTS_FILE
from compressgan.config import Config
from compressgan.networks.export import export
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from compressgan.runtime import load_networks
from config import PAPER, TINY
from conftest import ROOT, assert_one_error_line, make_photo, run_cli

EVERYTHING = TINY.replace(zero_init_blocks=False, block_norm="channel", block_scale=0.25)
CHANNEL_NORM = EVERYTHING.replace(norm="channel", block_norm="none", levels=1, default_level=1, realism=False)
OF_THE_PAPER = PAPER.replace(encoder_widths=(4,) * 5, generator_widths=(4,) * 5, generator_blocks=2, latent_channels=2)


def exported(config: Config, folder: Path) -> Path:
    """Exports an untrained model whose every weight matters."""
    keras.utils.set_random_seed(1)
    model, rng = CompressGAN(config), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.05, variable.shape))
    model.save_weights_for_inference(folder, step=0)
    export(folder)
    return folder


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("config", [EVERYTHING, CHANNEL_NORM, OF_THE_PAPER], ids=["compact", "channel norm", "paper"])
def test_litert_computes_what_tensorflow_computes(config: Config, tmp_path: Path) -> None:
    folder = exported(config, tmp_path)
    litert, tensorflow = load_networks(folder), TensorFlowNetworks(CompressGAN.load(folder))
    assert type(litert) is not type(tensorflow)
    rng = np.random.default_rng(0)
    sizes = ((5, 7), (1, 3), (8, 2))
    for (rows, columns), level, realism in zip(
        sizes, (1, config.levels, config.default_level), (0.0, 1.0, 0.3), strict=True
    ):
        photo = rng.uniform(-1, 1, (16 * rows, 16 * columns, 3)).astype(np.float32)
        latents = tensorflow.encode(photo, level)
        assert_close(litert.encode(photo, level), latents)
        quantized = rng.choice(tensorflow.centers, latents.shape)
        features = tensorflow.features(quantized, level, realism)
        assert_close(litert.features(quantized, level, realism), features)
        assert_close(litert.upsample(features, level, realism), tensorflow.upsample(features, level, realism))
        if config.norm != "instance":
            importance = rng.uniform(0, 1, photo.shape[:2]).astype(np.float32)
            loss, gradient = tensorflow.loss_and_gradient(latents, photo, importance, level, 0.05)
            found = litert.loss_and_gradient(latents, photo, importance, level, 0.05)
            assert found[0] == pytest.approx(loss, rel=1e-4)
            assert_close(found[1], gradient)
    ours, theirs = Codec(litert, effort=0), Codec(tensorflow, effort=0)
    photo = make_photo(330, 500)
    files = [codec.compress(photo) for codec in (ours, theirs)]
    symbols = [[codec.from_bytes(data)[0] for codec in (ours, theirs)] for data in files]
    for by_litert, by_tensorflow in symbols:
        np.testing.assert_array_equal(by_litert, by_tensorflow)
    assert np.mean(symbols[0][0] != symbols[1][0]) <= 1e-4
    difference = ours.decompress(files[0]).astype(int) - theirs.decompress(files[0])
    assert np.abs(difference).max() <= 1
    for level in range(1, config.levels + 1):
        for found, expected in zip(litert.prior(level), tensorflow.prior(level), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert litert.rate_weight(level) == tensorflow.rate_weight(level)


def test_a_model_that_litert_cannot_refine_is_named(tiny: Config, tmp_path: Path) -> None:
    CompressGAN(tiny.replace(padding="reflection")).save_weights_for_inference(tmp_path, step=0)
    with pytest.raises(CompressGANError, match=r"codec.tflite: this model cannot be converted for LiteRT \("):
        export(tmp_path)
    assert not (tmp_path / "codec.tflite").exists()


def test_threads_do_not_change_the_file(checkpoint: Path) -> None:
    photo = make_photo(200, 170)
    one, two = (Codec.load(checkpoint, threads=threads).compress(photo) for threads in (1, 2))
    assert one == two


def test_threads_may_share_a_codec_and_large_photos_release_memory(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_photo(200, 170)
    codec = Codec.load(checkpoint)
    data = codec.compress(photo)
    expected = codec.decompress(data)
    assert set(codec._networks._runners) == {"encode", "refine", "trunk", "upsample"}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(codec.compress, [photo] * 8)) == [data] * 8
        for reconstruction in pool.map(codec.decompress, [data] * 8):
            np.testing.assert_array_equal(reconstruction, expected)
    monkeypatch.setattr(runtime, "_LARGE", 50)
    np.testing.assert_array_equal(codec.decompress(data), expected)
    assert set(codec._networks._runners) == {"trunk", "upsample"}  # or each would be loaded anew for every photo
    monkeypatch.setattr(runtime, "_LARGE", 5)
    np.testing.assert_array_equal(codec.decompress(data), expected)
    assert set(codec._networks._runners) == {"upsample"}
    assert codec.compress(photo) == data


def test_litert_out_of_memory_is_a_memory_error(checkpoint: Path) -> None:
    networks = load_networks(checkpoint)
    latents = np.zeros((2, 2, networks.config.latent_channels), np.float32)
    expected = networks.features(latents, 1, 0.0)

    def exhausted(**inputs: np.ndarray) -> None:
        raise RuntimeError("XNNPack delegate failed to reshape runtime")

    networks._runners["trunk"] = exhausted
    with pytest.raises(MemoryError, match="LiteRT: XNNPack"):
        networks.features(latents, 1, 0.0)
    np.testing.assert_array_equal(networks.features(latents, 1, 0.0), expected)


@pytest.mark.parametrize(("signature", "inputs"), [("paint", {"latents", "level"}), ("encode", {"photo"})])
def test_a_litert_file_of_another_version_is_refused(checkpoint: Path, signature: str, inputs: set[str]) -> None:
    with pytest.raises(CompressGANError, match=r"codec.tflite was written by another version; rewrite it"):
        load_networks(checkpoint)._load(signature, inputs)


def test_compressing_and_reconstructing_import_no_tensorflow(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules |= dict.fromkeys(('tensorflow', 'keras'))\n"  # importing them fails
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    for arguments in (
        ("-path", photos, "-o", tmp_path / "out", "--report"),
        ("-c", tmp_path / "out", "-o", tmp_path / "back"),
    ):
        command = [sys.executable, "-c", code, ROOT / "src" / "inference.py", "-r", checkpoint, *arguments]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100)
        assert (result.returncode, result.stderr) == (0, "")
    assert len(list((tmp_path / "back").rglob("*.png"))) == 4


def test_a_checkpoint_without_its_litert_model(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    """One line says so if TensorFlow has to help: no `codec.tflite`, or one of other weights."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    (folder / "codec.tflite").unlink()
    call = ("inference.py", "-path", photos / "a.png", "-o", tmp_path / "out", "-r")
    result = run_cli(*call, folder)
    assert result.returncode == 0
    assert result.stderr.startswith(f"warning: {folder}: no codec.tflite for these weights")
    assert len(result.stderr.splitlines()) == 1
    shutil.copy(ROOT / "checkpoints" / "default" / "codec.tflite", folder)
    assert run_cli(*call, folder).stderr == result.stderr
    result = run_cli("export.py", "-r", folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert run_cli(*call, folder).stderr == ""

    content = bytearray((folder / "codec.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "codec.tflite").write_bytes(content)
    assert_one_error_line(run_cli(*call, folder), "codec.tflite: damaged")


def test_without_litert_model_and_without_tensorflow(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "model")
    (tmp_path / "model" / "codec.tflite").unlink()
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'tensorflow': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from compressgan import Codec, CompressGANError\n"
        "try: Codec.load(sys.argv[1])\n"
        "except CompressGANError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path / "model"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert "so TensorFlow is needed: pip install '.[train]'" in result.stdout


@pytest.mark.parametrize("name", ["prior/output", CENTERS])
def test_altered_weights_of_the_coder_are_refused(checkpoint: Path, tmp_path: Path, name: str) -> None:
    """Every file would be painted wrongly."""
    shutil.copytree(checkpoint, tmp_path / "altered")
    with h5py.File(tmp_path / "altered" / WEIGHTS_FILE, "r+") as file:
        file[name][0] = file[name][0] + 1
    with pytest.raises(CompressGANError, match=r"model\.weights\.h5: damaged"):
        load_networks(tmp_path / "altered")


def test_a_damaged_fingerprint_is_named(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "altered")
    with h5py.File(tmp_path / "altered" / WEIGHTS_FILE, "r+") as file:
        description = json.loads(file.attrs[DESCRIPTION])
        description["fingerprint"] = "g" + description["fingerprint"][1:]
        file.attrs[DESCRIPTION] = json.dumps(description)
    with pytest.raises(CompressGANError, match=r"model\.weights\.h5: not valid checkpoint settings"):
        load_networks(tmp_path / "altered")
