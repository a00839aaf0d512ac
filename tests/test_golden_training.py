"""Twenty steps of training from a fixed seed give the terms that they gave before.

`python tests/test_golden_training.py` writes the file anew, after a change that is meant to change training.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from compressgan.config import Config
from compressgan.networks.model import CompressGAN
from compressgan.training.data import training_dataset
from compressgan.training.perceptual import PerceptualLoss
from compressgan.training.train_step import TrainStep
from config import TINY
from conftest import ROOT, make_photo, write_vgg19

GOLDEN = ROOT / "tests" / "golden" / "training.json"
STEPS = 20
# Every term, both optimizers' schedules and the rate control take part.
CONFIG = TINY.replace(
    steps=STEPS,
    warmup_steps=4,
    batch_size=8,
    adversarial_from=10,
    discriminator_head_start=2,
    perceptual_coeff=0.05,
    rate_coeff=0.5,
    rate_target=0.02,
    highest_rate_target=0.06,
    temperature=2.0,
    final_temperature=0.5,
    zero_init_blocks=False,
)
VARIANTS = {
    "adam": CONFIG,
    "muon": CONFIG.replace(optimizer="muon"),
    "one rate": CONFIG.replace(
        levels=1,
        default_level=1,
        realism=False,
        discriminator_sees_latents=False,
        discriminator_norm="instance",
        norm="instance",
        upsampling="transposed",
        use_vanilla_GAN=True,
        gradient_clip=0.0,
        perceptual_coeff=0.0,
    ),
}


def log(config: Config, folder: Path) -> dict[str, list]:
    """Trains, and returns each term's value at every step, and how far the averaged weights have moved."""
    for i in range(6):
        Image.fromarray(make_photo(90 + i, 100, i)).save(folder / f"{i}.png")
    paths = sorted(map(str, folder.glob("*.png")))
    keras.utils.set_random_seed(config.seed)
    perceptual = PerceptualLoss(write_vgg19(folder / "vgg19.h5"), kind=config.perceptual_kind)
    keras.utils.set_random_seed(config.seed)
    train_step = TrainStep(config, tf.distribute.get_strategy(), perceptual if config.perceptual_coeff else None)
    start = [own.get_weights() for own in networks(train_step.ema)]
    terms: dict[str, list] = {}
    for step, batch in zip(range(STEPS), training_dataset(paths, config, 0), strict=False):
        for name, value in train_step(batch, step).items():
            terms.setdefault(name, []).append(value.numpy().tolist())
    for own, before in zip(networks(train_step.ema), start, strict=True):
        moved = [after - earlier for after, earlier in zip(own.get_weights(), before, strict=True)]
        terms[f"moved/{own.name}"] = [float(tf.linalg.global_norm(moved))]
    return terms


def networks(model: CompressGAN) -> list[keras.layers.Layer]:
    return [model.encoder, model.quantizer, model.generator, model.prior]


@pytest.mark.parametrize("name", VARIANTS)
def test_golden_log(name: str, tmp_path: Path) -> None:
    expected = json.loads(GOLDEN.read_text())[name]
    found = log(VARIANTS[name], tmp_path)
    assert found.keys() == expected.keys()
    for term, values in expected.items():
        # Processors round differently: by 0.0006 with AVX2 instead of AVX-512.
        np.testing.assert_allclose(found[term], values, rtol=0.002, atol=1e-5, err_msg=term)


if __name__ == "__main__":
    import tempfile

    logs = {}
    for name, config in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            logs[name] = {term: np.array(v).round(7).tolist() for term, v in log(config, Path(folder)).items()}
    GOLDEN.write_text(json.dumps(logs).replace(', "', ',\n"') + "\n")  # one line a term
