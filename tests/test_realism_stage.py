"""The second stage of training, and the loss of levels."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.config import Config
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


def test_only_the_generator_and_the_prior_learn(config: Config) -> None:
    """Encoder, centers and rate weights stay as they are, so the latents and their levels do."""
    train_step = make_step(config)
    model = train_step.model
    for step in range(2):
        train_step(BATCH, step)
    frozen = [*model.encoder.weights, *model.quantizer.weights, model.rate_coeffs]
    raw = values(frozen)
    train_step(BATCH, 2)
    before, painting = values(frozen), values(model.generator.trainable_variables)
    predicting = values(model.prior.trainable_variables)
    judging = values(train_step.discriminator.trainable_variables)
    # The stage starts from the averaged weights, which differed from the raw ones.
    assert not all(equal(raw, frozen))
    for a, b in zip(model.encoder.weights, train_step.ema.encoder.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for step in range(3, 6):
        train_step(BATCH, step)
    assert all(equal(before, frozen))
    unchanged = equal(painting, model.generator.trainable_variables)
    levels_not_seen = 0  # each level's vectors are rows of one variable
    assert sum(unchanged) == levels_not_seen
    assert not any(equal(judging, train_step.discriminator.trainable_variables))
    assert not any(equal(predicting, model.prior.trainable_variables))


def test_the_discriminator_has_a_head_start(config: Config) -> None:
    train_step = make_step(config.replace(adversarial_from=0, discriminator_head_start=2))
    painting = train_step.model.generator.trainable_variables
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


def test_half_of_the_batch_is_painted_at_realism_1(config: Config) -> None:
    """There its losses count, and the discriminator sees that half alone, with its latents."""
    still = dict.fromkeys(("realism_learning_rate", "discriminator_learning_rate"), 0.0)
    config = config.replace(adversarial_from=0, perceptual_coeff=0.7, perceptual_crop=64, **still)
    train_step = make_step(config, lambda x, y: tf.reduce_mean(tf.abs(x - y)))
    model = train_step.model
    for variable in model.generator.weights:
        if "realism" in variable.path:
            variable.assign(np.random.default_rng(0).normal(0, 0.3, variable.shape))
    model.rate_coeffs.assign(np.linspace(0.5, 9.0, 8))
    train_step.ema.set_weights(model.get_weights())
    photos, level = BATCH
    terms = {name: value.numpy() for name, value in train_step(BATCH, 0).items()}
    quantized = model.quantizer(model.encoder([photos, level]))
    y = model.generator([quantized, level, tf.constant([1.0, 0.0] * 4)])
    distortion = np.mean(np.square(y - photos), axis=(1, 2, 3))
    assert terms["distortion"] == pytest.approx(distortion.mean(), rel=1e-4)
    assert terms["perceptual"] == pytest.approx(np.mean(np.abs(y - photos)[::2]), rel=1e-4)
    assert terms["pattern"] == pytest.approx(float(losses.pattern(photos[::2], y[::2])), rel=1e-4)
    row, column = np.random.default_rng((config.seed, 0)).integers(0, 17, 2)
    latents = tf.repeat(tf.repeat(quantized, 16, axis=1), 16, axis=2)
    windows = [x[::2, row : row + 48, column : column + 48] for x in (photos, y, latents)]
    real, fake = (train_step.discriminator([window, windows[2]]) for window in windows[:2])
    assert terms["adversarial"] == pytest.approx(float(losses.generator_adversarial(fake, False)), rel=1e-4)
    assert terms["discriminator"] == pytest.approx(float(losses.discriminator_adversarial(real, fake, False)), rel=1e-4)
    assert terms["feature_matching"] == pytest.approx(float(losses.feature_matching(real, fake)), rel=1e-4)
    coeffs = model.rate_coeffs.numpy()[level]
    weight = np.where(np.arange(8) % 2, config.distortion_coeff, config.realism_distortion_coeff)
    balance = np.where(np.arange(8) % 2, np.minimum(1, coeffs**-0.5), 1)
    _, rate = model.code_lengths(model.encoder([photos, level]), level, 1.0)
    expected = np.mean(balance * (weight * distortion + coeffs * rate))
    for name in ("perceptual", "adversarial", "feature_matching", "pattern"):
        expected += 0.5 * getattr(config, f"{name}_coeff") * terms[name]  # half of the photos have these terms
    assert terms["generator"] == pytest.approx(expected, rel=1e-4)
    # Figures of a level are those at realism 0.
    np.testing.assert_array_equal(terms["levels/photos"], np.bincount(level[1::2], minlength=8))


def test_each_half_moves_only_what_it_sees(config: Config) -> None:
    """Without the adversarial terms' share, realism 0 learns from the distortion alone; its vectors stay."""
    config = config.replace(adversarial_from=0, perceptual_coeff=0.0, realism_distortion_coeff=0.0)
    config = config.replace(adversarial_coeff=0.0, feature_matching_coeff=0.0, pattern_coeff=0.0, optimizer="adam")
    train_step = make_step(config)
    realism = [v for v in train_step.model.generator.weights if "realism" in v.path]
    before = values(realism)
    train_step(BATCH, 0)
    assert all(equal(before, realism))


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
