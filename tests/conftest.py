"""Small models and photos shared by the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from compressgan.config import Config
from compressgan.images.reading import register_heic
from compressgan.networks.loading import import_tensorflow
from config import TINY

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from playwright.sync_api import Browser

    from compressgan.networks.model import CompressGAN
    from compressgan.training.trainer import Trainer

settings.register_profile("ours", deadline=None)  # other tests run at the same time
settings.load_profile("ours")
register_heic()
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # of this process and those it starts: two tests run at once
import_tensorflow()  # quietly, before the tests import it

ROOT = Path(__file__).resolve().parent.parent
VGG19_WIDTHS = {
    "block1_conv1": (3, 64),
    "block1_conv2": (64, 64),
    "block2_conv1": (64, 128),
    "block2_conv2": (128, 128),
}  # up to the layer that the feature distance uses: channels in and out


@pytest.fixture(scope="session")
def tiny() -> Config:
    return TINY


@pytest.fixture(scope="session")
def one_rate(tiny: Config) -> Config:
    """A model without levels and realism, trained without a rate term and with all networks in both stages."""
    return tiny.replace(levels=1, default_level=1, realism=False, rate_coeff=0.0, rate_target=0.0)


@pytest.fixture(scope="session")
def checkpoint(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a random model, as inference reads it."""
    from compressgan.networks.export import export

    model = random_model(tiny)
    model.quantizer.weights[0].assign([1.0, -2.0, 0.0, 2.0, -1.0])  # centers have no order
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_weights_for_inference(folder, step=0)
    export(folder)
    return folder


def random_model(config: Config) -> CompressGAN:
    """A model whose levels, realisms and residual blocks all make a difference, unlike those of an untrained one."""
    import keras

    from compressgan.networks.generator import of_realism
    from compressgan.networks.model import CompressGAN

    keras.utils.set_random_seed(1)
    model, rng = CompressGAN(config), np.random.default_rng(1)
    for variable in (*model.encoder.weights, *model.generator.weights):
        if "modulation" in variable.path or "conv2/kernel" in variable.path or of_realism(variable):
            variable.assign(rng.normal(0, 0.2, variable.shape))
    model.rate_coeffs.assign(np.geomspace(0.2, 0.01, config.levels))
    return model


def encode(encoder: keras.Model, photos: tf.Tensor, level: int = 0) -> tf.Tensor:
    """Runs an encoder, all photos at one level, from 0."""
    import tensorflow as tf

    return encoder([tf.convert_to_tensor(photos), tf.fill(len(photos), level)])


def generate(generator: keras.Model, latents: tf.Tensor, level: int = 0, realism: float = 0.0) -> tf.Tensor:
    """Runs a generator, all photos at one level, from 0, and one realism."""
    import tensorflow as tf

    count = len(latents)
    return generator([tf.convert_to_tensor(latents), tf.fill(count, level), tf.fill(count, realism)])


def make_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with some noise, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(5, 40) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(5, 40)) for _ in range(3)]
    noise = rng.normal(0, 8, (height, width, 3))
    return np.clip(127 + 90 * np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four photos, one in a sub-folder."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.jpg", "c.webp", "sub/d.png")):
        Image.fromarray(make_photo(80 + 16 * i, 100, i)).save(folder / name)
    return folder


@pytest.fixture
def paths(photos: Path) -> list[str]:
    """The paths of those photos, as training takes them."""
    from compressgan.training.index import find_images

    return [str(path) for path in find_images([photos])[0]]


def make_trainer(config: Config, folder: Path) -> Trainer:
    """A trainer whose checkpoint is `folder`."""
    from compressgan.training.trainer import Trainer

    return Trainer(config, folder, folder / "log")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium, if this machine has it. CI must have it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not path:
        if os.environ.get("CI"):
            pytest.fail("CI needs a Chromium")
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Training steps run without being traced, which takes seconds: for tests of a few steps."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """For processes that a test starts: SIGINT and SIGHUP as in a shell's foreground.

    A shell's background jobs ignore the first, and `nohup` the second.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def write_vgg19(path: Path, layers: Iterable[str] = VGG19_WIDTHS) -> Path:
    """Writes random VGG19 weights in the layout of Keras' .h5 format."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name in layers:
            group, (fan_in, width) = file.create_group(name), VGG19_WIDTHS[name]
            names = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = [n.encode() for n in names]
            group[names[0]] = rng.normal(0, (2 / (9 * fan_in)) ** 0.5, (3, 3, fan_in, width)).astype(np.float32)
            group[names[1]] = np.zeros(width, np.float32)
    return path


def run_cli(script: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a command line as a user does, from a folder other than the project's."""
    command = [sys.executable, str(ROOT / "src" / script), *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, timeout=300)


def assert_one_error_line(result: subprocess.CompletedProcess, *words: str, code: int = 1) -> None:
    """Asserts that the command failed and reported exactly one error line, which contains the words."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == code, result.stderr
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in errors[0]
