from __future__ import annotations

from pathlib import Path

from settings import Config

import numpy as np
import pytest
import tensorflow as tf

from codec import Codec
from data import find_images
from errors import CompressGANError
from model import read_config
from trainer import Trainer


@pytest.fixture
def paths(photos: Path) -> list[str]:
    return [str(path) for path in find_images([photos])[0]]


def make_trainer(config: Config, folder: Path) -> Trainer:
    return Trainer(config, folder, folder / "log", None)


def weights(trainer: Trainer) -> list[np.ndarray]:
    networks = (trainer.model, trainer.ema, trainer.discriminator)
    optimizers = (trainer.optimizer, trainer.prior_optimizer, trainer.discriminator_optimizer)
    variables = [v for part in networks for v in part.weights] + [v for o in optimizers for v in o.variables]
    return [v.numpy() for v in variables]


def test_resuming_changes_nothing(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    """Eight steps across both stages equal three and five, bit for bit: networks, EMA and optimizers."""
    config = tiny.replace(steps=8, adversarial_from=5, save_every=3, validate_every=100)
    whole = make_trainer(config, tmp_path / "whole")
    whole.fit(paths, [])

    class Stopped(BaseException):
        pass

    first = make_trainer(config, tmp_path / "parts")
    save = first.save

    def save_and_stop() -> None:
        save()
        raise Stopped

    first.save = save_and_stop
    with pytest.raises(Stopped):
        first.fit(paths, [])
    second = make_trainer(config, tmp_path / "parts")
    assert int(second.step) == 3
    second.fit(paths, [])
    for a, b in zip(weights(whole), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_stages(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    trainer = make_trainer(tiny.replace(warmup_steps=0), tmp_path)
    photos = tf.random.uniform((4, 64, 64, 3), -1, 1, seed=1)
    before = [v.numpy() for v in trainer.discriminator.trainable_variables]
    terms = trainer._train_step(photos, False)
    assert float(terms["discriminator"]) == float(terms["adversarial"]) == 0
    assert all((a == b).all() for a, b in zip(before, trainer.discriminator.trainable_variables, strict=True))
    terms = trainer._train_step(photos, True)
    assert min(float(terms[name]) for name in ("discriminator", "adversarial", "feature_matching")) > 0
    assert not any((a == b).all() for a, b in zip(before, trainer.discriminator.trainable_variables, strict=True))
    expected = (
        tiny.distortion_coeff * terms["distortion"]
        + tiny.adversarial_coeff * terms["adversarial"]
        + tiny.feature_matching_coeff * terms["feature_matching"]
    )
    assert float(terms["generator"]) == pytest.approx(float(expected))


def test_rate_term(tmp_path: Path, tiny: Config) -> None:
    """A rate term makes latents cheaper, but only while they cost more than the target."""
    photos = tf.random.uniform((4, 64, 64, 3), -1, 1, seed=1)
    lengths = {}
    for name, target in (("free", 1.0), ("costly", 0.0)):
        config = tiny.replace(rate_coeff=100.0, rate_target=target, learning_rate=3e-3, prior_learning_rate=0.02)
        trainer = make_trainer(config, tmp_path / name)
        for _ in range(50):
            terms = trainer._train_step(photos, False)
        lengths[name] = float(terms["code_length"])
    assert lengths["costly"] < 0.8 * lengths["free"]


def test_training_learns(tmp_path: Path, tiny: Config) -> None:
    config = tiny.replace(learning_rate=3e-3, steps=200, adversarial_from=200)
    trainer = make_trainer(config, tmp_path)
    # A flat colour per photo: what any codec must learn first.
    photos = tf.ones((4, 64, 64, 3)) * tf.random.uniform((4, 1, 1, 3), -1, 1, seed=1)
    losses = [float(trainer._train_step(photos, False)["distortion"]) for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]
    assert all(np.isfinite(losses))


def test_learning_rate_warms_up_and_falls(tmp_path: Path, tiny: Config) -> None:
    trainer = make_trainer(tiny.replace(steps=100, warmup_steps=10, final_learning_rate_share=0.1), tmp_path)
    rates = []
    for step in range(101):
        trainer.step.assign(step)
        trainer._set_learning_rates()
        rates.append(float(trainer.optimizer.learning_rate) / tiny.learning_rate)
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55, abs=0.01)
    assert rates[100] == min(rates[10:]) == pytest.approx(0.1)


def test_validation_logs_and_checkpoint_serves_inference(tmp_path: Path, tiny: Config, paths: list[str]) -> None:
    config = tiny.replace(steps=4, adversarial_from=2, validate_every=2, log_every=1, save_every=2)
    make_trainer(config, tmp_path).fit(paths, paths)
    tags, kinds = set(), set()
    for file in (tmp_path / "log").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags |= {value.tag for value in event.summary.value}
            kinds |= {value.metadata.plugin_data.plugin_name for value in event.summary.value}
    terms = ("generator", "distortion", "perceptual", "adversarial", "feature_matching", "discriminator")
    assert {f"loss/{name}" for name in terms} <= tags
    assert {"validation/psnr", "validation/ms_ssim", "validation/bpp", "latents", "symbols"} <= tags
    assert "original_and_reconstruction/0" in tags
    assert {"scalars", "images", "histograms"} <= kinds
    assert read_config(tmp_path)[0] == config
    photo = np.zeros((30, 40, 3), np.uint8)
    codec = Codec.load(tmp_path)
    assert codec.decompress(codec.compress(photo)).shape == photo.shape


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path: Path, tiny: Config, paths: list[str]
) -> None:
    config = tiny.replace(steps=6, save_every=2, log_every=1, validate_every=100)
    trainer = make_trainer(config, tmp_path)
    step = trainer._train_step

    def poisoned(photos: tf.Tensor, adversarial: bool) -> dict[str, tf.Tensor]:
        return step(photos * (float("nan") if int(trainer.step) == 3 else 1.0), adversarial)

    trainer._train_step = poisoned
    with pytest.raises(CompressGANError, match="step 4: the distortion loss is nan"):
        trainer.fit(paths, [])
    again = make_trainer(config, tmp_path)
    assert int(again.step) == 2
    assert all(np.isfinite(v).all() for v in weights(again))


def test_state_of_other_settings_is_refused(tmp_path: Path, tiny: Config) -> None:
    make_trainer(tiny, tmp_path).save()
    with pytest.raises(CompressGANError, match="damaged, or not of these settings"):
        make_trainer(tiny.replace(generator_blocks=3), tmp_path)


def test_mixed_precision_trains(tmp_path: Path, tiny: Config) -> None:
    photos = tf.random.uniform((2, 64, 64, 3), -1, 1, seed=1)
    for precision in ("mixed_bfloat16", "mixed_float16"):
        trainer = make_trainer(tiny.replace(precision=precision), tmp_path / precision)
        before = trainer.model.get_weights()
        for adversarial in (False, True):
            terms = trainer._train_step(photos, adversarial)
        assert np.isfinite(float(terms["generator"]))
        after = trainer.model.get_weights()
        assert sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)) > len(after) // 2
        assert trainer.model.weights[0].dtype == "float32"
