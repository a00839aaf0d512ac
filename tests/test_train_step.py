from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.config import Config
from compressgan.networks.quantizer import Quantizer
from compressgan.training import losses
from compressgan.training.schedules import learning_rate_factor, temperature
from compressgan.training.train_step import TrainStep
from config import PAPER

LEVELS = tf.zeros(4, tf.int32)


def make_step(config: Config) -> TrainStep:
    keras.utils.set_random_seed(0)
    return TrainStep(config, tf.distribute.get_strategy(), None)


def noise(batch: int = 4, levels: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
    """Photos, and their levels from 0."""
    return tf.random.uniform((batch, 64, 64, 3), -1, 1, seed=1), tf.range(batch) % levels


def test_stages(one_rate: Config) -> None:
    train_step = make_step(one_rate.replace(warmup_steps=0, adversarial_from=1, rate_coeff=0.5, pattern_coeff=3))
    before = [v.numpy() for v in train_step.discriminator.trainable_variables]
    terms = train_step(noise(), 0)
    assert float(terms["discriminator"]) == float(terms["adversarial"]) == float(terms["pattern"]) == 0
    assert all((a == b).all() for a, b in zip(before, train_step.discriminator.trainable_variables, strict=True))
    terms = train_step(noise(), 1)
    assert min(float(terms[name]) for name in ("discriminator", "adversarial", "feature_matching", "pattern")) > 0
    assert not any((a == b).all() for a, b in zip(before, train_step.discriminator.trainable_variables, strict=True))
    expected = (
        one_rate.distortion_coeff * terms["distortion"]
        + 0.5 * terms["rate"]
        + one_rate.adversarial_coeff * terms["adversarial"]
        + one_rate.feature_matching_coeff * terms["feature_matching"]
        + 3 * terms["pattern"]
    )
    assert float(terms["generator"]) == pytest.approx(float(expected))


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_training_learns(one_rate: Config, precision: str) -> None:
    config = one_rate.replace(learning_rate=3e-3, steps=200, adversarial_from=200, precision=precision)
    train_step = make_step(config)
    # A flat colour per photo: what any codec must learn first.
    photos = tf.ones((4, 64, 64, 3)) * tf.random.uniform((4, 1, 1, 3), -1, 1, seed=1)
    distortions = [float(train_step((photos, LEVELS), step)["distortion"]) for step in range(60)]
    assert distortions[-1] < 0.2 * distortions[0]
    assert all(np.isfinite(distortions))


def test_the_prior_learns_what_the_latents_are(one_rate: Config) -> None:
    train_step = make_step(one_rate.replace(prior_learning_rate=0.02, learning_rate=0.0))
    lengths = [float(train_step(noise(), step)["code_length"]) for step in range(40)]
    assert lengths[0] == pytest.approx(one_rate.latent_channels * np.log2(5) / 256, rel=1e-4)
    assert lengths[-1] < 0.7 * lengths[0]


def test_rate_term(one_rate: Config) -> None:
    lengths = {}
    for coeff in (0.0, 100.0):
        train_step = make_step(one_rate.replace(rate_coeff=coeff, learning_rate=3e-3, prior_learning_rate=0.02))
        for step in range(50):
            terms = train_step(noise(), step)
        lengths[coeff] = float(terms["code_length"])
    assert lengths[100.0] < 0.8 * lengths[0.0]


def test_the_weight_of_the_rate_follows_the_target(one_rate: Config) -> None:
    with pytest.raises(ValueError, match="rate_target needs a rate_coeff"):
        one_rate.replace(rate_target=0.1)
    for target, direction in ((1.0, -1), (0.001, 1)):
        train_step = make_step(one_rate.replace(rate_coeff=2.0, rate_target=target))
        weights = [float(train_step(noise(), step)["levels/rate_coeff"][0]) for step in range(5)]
        assert weights[0] == 2.0
        assert all(np.diff(weights) * direction > 0)


@pytest.mark.usefixtures("eagerly")
def test_gradients_are_clipped_together(one_rate: Config) -> None:
    """Adam's steps hide the gradient's size, but its first moment shows it: (1 - beta_1) times the gradient."""
    config = one_rate.replace(warmup_steps=0, gradient_clip=1e-3)
    train_step = make_step(config)
    norm = float(train_step(noise(), 0)["gradient_norm/generator"])
    assert norm > 0.1
    moments = [v.numpy() for v in train_step.optimizer.variables if "momentum" in v.path]
    clipped = np.sqrt(sum(np.square(m).sum() for m in moments)) / (1 - config.adam_beta_1)
    assert clipped == pytest.approx(1e-3, rel=1e-3)


def test_learning_rate_warms_up_and_falls() -> None:
    config = Config(steps=100, warmup_steps=10, final_learning_rate_share=0.1)
    factors = [learning_rate_factor(config, step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == max(factors) == pytest.approx(1.0)
    assert factors[55] == pytest.approx(0.55, abs=0.01)
    assert factors[100] == min(factors[10:]) == pytest.approx(0.1)


def test_temperature_is_annealed() -> None:
    config = Config(steps=100, temperature=1.0, final_temperature=0.01)
    assert [temperature(config, step) for step in (0, 50, 100)] == pytest.approx([1.0, 0.1, 0.01])


def test_vgg19_sees_a_window_that_moves(one_rate: Config) -> None:
    """The perceptual term is computed in one window of the photos, a different one at each step."""
    config = one_rate.replace(perceptual_coeff=1.0, perceptual_crop=32, learning_rate=0.0)
    rows, columns = tf.meshgrid(tf.range(64.0), tf.range(64.0), indexing="ij")
    photos = tf.tile(tf.stack([rows, columns, rows], axis=-1)[tf.newaxis] / 64, (4, 1, 1, 1))
    corners = []

    def distance(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        assert x.shape == y.shape == (4, 32, 32, 3)
        return 1000 * x[0, 0, 0, 0] + x[0, 0, 0, 1]

    keras.utils.set_random_seed(0)
    train_step = TrainStep(config, tf.distribute.get_strategy(), distance)
    for step in range(6):
        corners.append(divmod(64 * float(train_step((photos, LEVELS), step)["perceptual"]), 1000))
    assert all(0 <= row <= 32 and 0 <= column <= 32 for row, column in corners)
    assert len({row for row, _ in corners}) > 2
    assert len({column for _, column in corners}) > 2
    again = TrainStep(config, tf.distribute.get_strategy(), distance)
    assert divmod(64 * float(again((photos, LEVELS), 5)["perceptual"]), 1000) == corners[5]


@pytest.mark.usefixtures("eagerly")
def test_the_discriminator_sees_a_window_that_moves(one_rate: Config) -> None:
    """Blocks of 16 pixels have a different offset in it at each step, in photos and reconstructions alike."""
    train_step = make_step(one_rate.replace(adversarial_from=0))
    discriminator, seen = train_step.discriminator, []

    def watching(inputs: list[tf.Tensor], training: bool) -> list[list[tf.Tensor]]:
        seen.append(inputs[0])
        return discriminator(inputs, training=training)

    watching.trainable_variables = discriminator.trainable_variables
    train_step.discriminator = watching
    rows, columns = tf.meshgrid(tf.range(64.0), tf.range(64.0), indexing="ij")
    photos = tf.tile(tf.stack([rows, columns, rows], axis=-1)[tf.newaxis] / 64, (4, 1, 1, 1))
    for step in range(6):
        train_step((photos, LEVELS), step)
    assert {tuple(window.shape) for window in seen} == {(4, 48, 48, 3)}
    corners = [tuple(64 * window[0, 0, 0, :2].numpy()) for window in seen[::2]]
    assert all(0 <= row <= 16 and 0 <= column <= 16 for row, column in corners)
    assert len(set(corners)) > 3


def test_the_average_is_what_numpy_computes(one_rate: Config) -> None:
    """The averaged weights forget the start quickly at first, then by `ema_decay`."""
    train_step = make_step(one_rate.replace(warmup_steps=0, ema_decay=0.2, learning_rate=0.01))
    expected = [v.numpy().astype(np.float64) for v in train_step.model.weights]
    for step in range(4):
        train_step(noise(), step)
        decay = [1 / 10, 2 / 11, 0.2, 0.2][step]
        raw = [v.numpy() for v in train_step.model.weights]
        expected = [decay * average + (1 - decay) * new for average, new in zip(expected, raw, strict=True)]
        for found, value in zip(train_step.ema.weights, expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-6)
    assert not all(np.allclose(a, b, atol=1e-4) for a, b in zip(raw, expected, strict=True))


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(("step", "factor"), [(0, 0.1), (4, 0.5), (10, 1.0), (55, 0.55), (99, 0.1003)])
def test_learning_rates_as_applied(one_rate: Config, step: int, factor: float) -> None:
    """All three optimizers follow warm-up and cosine; Adam's first step has the length of the learning rate."""
    rates = {"learning_rate": 1e-3, "prior_learning_rate": 2e-3, "discriminator_learning_rate": 4e-3}
    config = one_rate.replace(steps=100, warmup_steps=10, final_learning_rate_share=0.1, adversarial_from=0, **rates)
    train_step = make_step(config)
    networks = (train_step.model.generator, train_step.model.prior, train_step.discriminator)
    before = [[v.numpy() for v in network.trainable_variables] for network in networks]
    train_step(noise(), step)
    for network, old, rate in zip(networks, before, rates.values(), strict=True):
        moved = max(np.abs(v.numpy() - o).max() for v, o in zip(network.trainable_variables, old, strict=True))
        assert moved == pytest.approx(factor * rate, rel=0.01)


@pytest.mark.usefixtures("eagerly")
def test_temperature_as_applied(one_rate: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantizer and rate term both get the temperature of the step."""
    config = one_rate.replace(steps=100, temperature=4.0, final_temperature=0.04, rate_coeff=1.0)
    train_step = make_step(config)
    assignments, seen = Quantizer.assignments, []

    def watching(self: Quantizer, latents: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        seen.append(float(temperature))
        return assignments(self, latents, temperature)

    monkeypatch.setattr(Quantizer, "assignments", watching)
    train_step(noise(), 50)
    assert seen == pytest.approx([0.4, 0.4])


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("vanilla", [False, True])
def test_adversarial_terms_of_a_real_step(one_rate: Config, vanilla: bool) -> None:
    """The terms are those of the discriminator on the step's window, of photos and of reconstructions."""
    frozen = {"learning_rate": 0.0, "discriminator_learning_rate": 0.0, "prior_learning_rate": 0.0}
    train_step = make_step(one_rate.replace(adversarial_from=0, use_vanilla_GAN=vanilla, **frozen))
    photos, level = noise()
    terms = train_step((photos, level), 7)
    row, column = np.random.default_rng((one_rate.seed, 7)).integers(0, 17, 2)
    latents = train_step.model.quantizer(train_step.model.encoder([photos, level]))
    reconstructions = train_step.model.generator([latents, level, tf.zeros(4)])
    enlarged = tf.repeat(tf.repeat(latents, 16, axis=1), 16, axis=2)
    windows = [x[:, row : row + 48, column : column + 48] for x in (photos, reconstructions, enlarged)]
    real, fake = (train_step.discriminator([window, windows[2]]) for window in windows[:2])
    assert float(terms["adversarial"]) == pytest.approx(float(losses.generator_adversarial(fake, vanilla)), rel=1e-4)
    expected = float(losses.discriminator_adversarial(real, fake, vanilla))
    assert float(terms["discriminator"]) == pytest.approx(expected, rel=1e-4)
    expected = float(losses.feature_matching(real, fake))
    assert float(terms["feature_matching"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_without_clipping_the_whole_gradient_counts(one_rate: Config) -> None:
    config = one_rate.replace(warmup_steps=0, gradient_clip=0.0, distortion_coeff=1000.0)
    train_step = make_step(config)
    norm = float(train_step(noise(), 0)["gradient_norm/generator"])
    assert norm > 10
    moments = [v.numpy() for v in train_step.optimizer.variables if "momentum" in v.path]
    assert np.sqrt(sum(np.square(m).sum() for m in moments)) / (1 - config.adam_beta_1) == pytest.approx(norm, rel=1e-3)


@pytest.mark.usefixtures("eagerly")
def test_the_papers_layers_in_a_real_step() -> None:
    """Instance norm and transposed convolutions: every weight of every network gets a gradient."""
    config = PAPER.replace(
        encoder_widths=(4,) * 5,
        generator_widths=(4,) * 5,
        generator_blocks=1,
        discriminator_widths=(4, 4),
        perceptual_coeff=0.0,
        adversarial_from=0,
        crop_size=64,
        rate_coeff=0.1,
    )
    train_step = make_step(config)
    networks = (train_step.model, train_step.discriminator)
    before = [{v.path: v.numpy() for v in network.trainable_variables} for network in networks]
    for step in range(2):  # the prior's output starts at zero, so its other weights move in the second step
        terms = train_step(noise(), step)
        assert all(np.isfinite(value).all() for value in terms.values())
    for network, old in zip(networks, before, strict=True):
        for variable in network.trainable_variables:
            assert not np.array_equal(variable, old[variable.path]), variable.path
