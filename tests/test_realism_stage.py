"""The second stage of training, and the loss of levels."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.config import Config
from compressgan.networks.generator import of_realism
from compressgan.training import losses
from compressgan.training.schedules import average_decay, learning_rate
from compressgan.training.train_step import TrainStep

BATCH = tf.random.stateless_uniform((8, 64, 64, 3), (0, 1), -1, 1), tf.constant([3, 1, 4, 1, 5, 2, 6, 0])


@pytest.fixture
def config(tiny: Config) -> Config:
    return tiny.replace(
        batch_size=8, adversarial_from=2, steps=20, warmup_steps=0, rate_coeff=0.5, discriminator_head_start=0
    )


def make_step(config: Config, perceptual: object = None) -> TrainStep:
    keras.utils.set_random_seed(0)
    return TrainStep(config, tf.distribute.get_strategy(), perceptual)


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def equal(before: list[np.ndarray], variables: list[keras.Variable]) -> list[bool]:
    return [np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True)]


def split(train_step: TrainStep) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """Returns the generator's weights that belong to realism, and the others."""
    weights = train_step.model.generator.trainable_variables
    return [v for v in weights if of_realism(v)], [v for v in weights if not of_realism(v)]


@pytest.mark.usefixtures("eagerly")
def test_only_realism_and_the_prior_learn(config: Config) -> None:
    """All that realism 0 depends on stays as it is."""
    train_step = make_step(config)
    model = train_step.model
    realism, plain = split(train_step)
    frozen = [*model.encoder.weights, *model.quantizer.weights, *plain, model.rate_coeffs]
    before = values(realism)
    for step in range(2):
        train_step(BATCH, step)
    assert all(equal(before, realism))
    raw = values(frozen)
    train_step(BATCH, 2)
    before, predicting = values(frozen), values(model.prior.trainable_variables)
    judging = values(train_step.discriminator.trainable_variables)
    # The stage starts from the averaged weights, which differed from the raw ones.
    assert not all(equal(raw, frozen))
    for a, b in zip(model.encoder.weights, train_step.ema.encoder.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    painting = values(realism)
    for step in range(3, 6):
        train_step(BATCH, step)
    assert all(equal(before, frozen))
    assert not any(equal(painting, realism))
    assert not any(equal(judging, train_step.discriminator.trainable_variables))
    assert not any(equal(predicting, model.prior.trainable_variables))


def test_the_discriminator_has_a_head_start(config: Config) -> None:
    train_step = make_step(config.replace(adversarial_from=0, discriminator_head_start=2))
    painting, _ = split(train_step)
    judging = train_step.discriminator.trainable_variables
    for step, waits in enumerate((True, True, False)):
        before, seen = values(painting), values(judging)
        train_step(BATCH, step)
        assert all(equal(before, painting)) == waits
        assert not any(equal(seen, judging))


def test_the_averaged_weights_forget_what_a_stage_begins_with(config: Config) -> None:
    config = config.replace(adversarial_from=5000, ema_decay=0.999)
    decays = [average_decay(config, step) for step in (0, 100, 4999, 5000, 5100, 10**6)]
    assert decays == pytest.approx([0.1, 101 / 110, 0.9982, 0.1, 101 / 110, 0.999], abs=1e-4)
    assert average_decay(config.replace(realism=False), 5000) == pytest.approx(0.9982, abs=1e-4)


def test_learning_rates_rise_and_fall_in_each_stage(config: Config) -> None:
    config = config.replace(
        adversarial_from=100,
        steps=200,
        warmup_steps=10,
        discriminator_head_start=5,
        learning_rate=1.0,
        realism_learning_rate=3.0,
        final_learning_rate_share=0.1,
    )
    found = [learning_rate(config, step) for step in (0, 9, 55, 99, 100, 104, 105, 109, 155, 199)]
    assert found == pytest.approx([0.1, 1.0, 0.55, 0.1, 0.0, 0.0, 1.8, 3.0, 1.65, 0.3], rel=0.01)
    # A run that ends before the second stage falls to the end.
    assert learning_rate(config.replace(steps=50), 49) == pytest.approx(0.1, rel=0.02)


@pytest.mark.usefixtures("eagerly")
def test_the_loss_of_levels(config: Config) -> None:
    """Each level has its own weight of the rate, and none drowns the others."""
    train_step = make_step(config)
    model = train_step.model
    coeffs = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 0.2, 8.0, 3.0], np.float32)
    model.rate_coeffs.assign(coeffs)
    photos, level = BATCH
    latents = model.encoder([photos, level])
    y = model.generator([model.quantizer(latents), level, tf.zeros(8)])
    distortion = np.mean(np.square(y - photos), axis=(1, 2, 3))
    code_length, rate = (own.numpy() for own in model.code_lengths(latents, level, 1.0))
    own = coeffs[level]
    expected = np.mean(np.minimum(1, own**-0.5) * (config.distortion_coeff * distortion + own * rate))
    terms = train_step(BATCH, 0)
    assert float(terms["generator"]) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(terms["levels/photos"], np.bincount(level, minlength=8))
    for name, figures in (("rate", code_length), ("distortion", distortion)):
        sums = np.bincount(level, figures, minlength=8)
        np.testing.assert_allclose(terms[f"levels/{name}"], sums, rtol=1e-4)
    np.testing.assert_array_equal(terms["levels/rate_coeff"], coeffs)


@pytest.mark.usefixtures("eagerly")
def test_the_second_stage_paints_at_realism_1(config: Config) -> None:
    still = dict.fromkeys(("realism_learning_rate", "discriminator_learning_rate"), 0.0)
    config = config.replace(adversarial_from=0, perceptual_coeff=0.7, perceptual_crop=64, **still)
    train_step = make_step(config, lambda x, y: tf.reduce_mean(tf.abs(x - y)))
    model = train_step.model
    for variable in split(train_step)[0]:
        variable.assign(np.random.default_rng(0).normal(0, 0.3, variable.shape))
    train_step.ema.set_weights(model.get_weights())
    photos, level = BATCH
    terms = {name: value.numpy() for name, value in train_step(BATCH, 0).items()}
    quantized = model.quantizer(model.encoder([photos, level]))
    y = model.generator([quantized, level, tf.ones(8)])
    assert np.abs(y - model.generator([quantized, level, tf.zeros(8)])).mean() > 0.05
    distortion = np.mean(np.square(y - photos), axis=(1, 2, 3))
    assert terms["distortion"] == pytest.approx(distortion.mean(), rel=1e-4)
    assert terms["perceptual"] == pytest.approx(np.mean(np.abs(y - photos)), rel=1e-4)
    assert terms["pattern"] == pytest.approx(float(losses.pattern(photos, y)), rel=1e-4)
    row, column = np.random.default_rng((config.seed, 0)).integers(0, 17, 2)
    latents = tf.repeat(tf.repeat(quantized, 16, axis=1), 16, axis=2)
    windows = [x[:, row : row + 48, column : column + 48] for x in (photos, y, latents)]
    real, fake = (train_step.discriminator([window, windows[2]]) for window in windows[:2])
    assert terms["adversarial"] == pytest.approx(float(losses.generator_adversarial(fake, False)), rel=1e-4)
    assert terms["discriminator"] == pytest.approx(float(losses.discriminator_adversarial(real, fake, False)), rel=1e-4)
    assert terms["feature_matching"] == pytest.approx(float(losses.feature_matching(real, fake)), rel=1e-4)
    expected = config.realism_distortion_coeff * distortion.mean()
    for name in ("perceptual", "adversarial", "feature_matching", "pattern"):
        expected += getattr(config, f"{name}_coeff") * terms[name]
    assert terms["generator"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(terms["levels/photos"], np.bincount(level, minlength=8))
    np.testing.assert_allclose(terms["levels/distortion"], np.bincount(level, distortion, 8), rtol=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_a_level_that_occurs_twice_counts_once_in_the_norm(config: Config) -> None:
    """Its vectors get one gradient for each photo; the norm is that of their sum."""
    photos = tf.repeat(BATCH[0][:1], 8, axis=0)
    batch = photos, tf.fill(8, 3)
    config = config.replace(levels=4, default_level=4)
    norm = float(make_step(config)(batch, 0)["gradient_norm/prior"])
    train_step = make_step(config)
    model = train_step.model
    with tf.GradientTape() as tape:
        latents = model.encoder([photos[:1], tf.constant([3])])
        code_length, _ = model.code_lengths(latents, tf.constant([3]), 1.0)
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(code_length, model.prior.trainable_variables)]
    assert norm == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-4)
