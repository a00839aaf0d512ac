"""One training step: networks, losses, gradients and averaged weights, on one or several devices or machines."""

from __future__ import annotations

from contextlib import nullcontext

import keras
import numpy as np
import tensorflow as tf

from compressgan.config import Config
from compressgan.geometry import STRIDE
from compressgan.networks.discriminator import build_discriminator
from compressgan.networks.generator import of_realism
from compressgan.networks.layers import at_realism_0
from compressgan.networks.model import CompressGAN, keras_settings
from compressgan.training import losses
from compressgan.training.optimizers import Adam, Muon
from compressgan.training.perceptual import PerceptualLoss
from compressgan.training.rate_control import next_rate_coeffs
from compressgan.training.schedules import (
    average_decay,
    in_realism_stage,
    learning_rate,
    learning_rate_factor,
    temperature,
)

Terms = dict[str, tf.Tensor]

OPTIMIZERS = {"muon": Muon, "adam": Adam}


class TrainStep:
    """The networks, their optimizers, and one step of training them.

    Each replica takes an equal share of the global batch. Losses are means over photos, so the mean gradients of the
    replicas are the gradients of the whole batch.

    Args:
        config: the settings.
        strategy: how the replicas are distributed.
        perceptual: the VGG19 term, or None if `perceptual_coeff` is 0.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, perceptual: PerceptualLoss | None) -> None:
        self.config = config
        self._strategy = strategy
        self._perceptual = perceptual
        self._perceptual_side = min(config.perceptual_crop, config.crop_size)
        # Strided layers weight the pixels of a block differently. If the discriminator's blocks always coincided with
        # the generator's, the generator could learn that difference as a pattern.
        self.discriminator_side = max(STRIDE, config.crop_size - STRIDE)
        with strategy.scope():
            self.model = CompressGAN(config)
            # This model holds the averaged weights. Validation, checkpoints and inference use it.
            self.ema = CompressGAN(config)
            self.ema.set_weights(self.model.get_weights())
            with keras_settings(config.precision):
                self.discriminator = build_discriminator(config)
            networks = (self.model.encoder, self.model.quantizer, self.model.generator)
            variables = [variable for network in networks for variable in network.trainable_variables]
            # What each stage trains.
            self._variables = [variable for variable in variables if not of_realism(variable)]
            self._realism_variables = [variable for variable in variables if of_realism(variable)]
            self.optimizer = self._make_optimizer(self._variables, OPTIMIZERS[config.optimizer])
            if config.realism:
                self.realism_optimizer = self._make_optimizer(self._realism_variables, OPTIMIZERS[config.optimizer])
            # The prior has its own, higher learning rate. It must keep up with the latents, or the rate term would
            # follow an outdated prior.
            self.prior_optimizer = self._make_optimizer(self.model.prior.trainable_variables)
            self.discriminator_optimizer = self._make_optimizer(self.discriminator.trainable_variables)

    def trackables(self) -> dict[str, object]:
        """Returns everything that changes with a step, for tf.train.Checkpoint."""
        state = {
            "model": self.model,
            "ema": self.ema,
            "discriminator": self.discriminator,
            "optimizer": self.optimizer,
            "prior_optimizer": self.prior_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        return {**state, "realism_optimizer": self.realism_optimizer} if self.config.realism else state

    def _make_optimizer(self, variables: list[keras.Variable], kind: type[Adam] = Adam) -> keras.optimizers.Optimizer:
        optimizer = kind(beta_1=self.config.adam_beta_1)
        if self.config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    def __call__(self, batch: tuple[tf.Tensor, tf.Tensor], step: int) -> Terms:
        """Trains on a batch.

        Args:
            batch: photos (B, H, W, 3) float32 in [-1, 1], and their levels from 0 (B,) int32, from the strategy's
                dataset.
            step: number of steps before this one.

        Returns:
            Every loss term and gradient norm: float32 scalars, means over the replicas. Also for each level, (K,)
            float32: its weight of the rate, and sums over its photos, which have realism 1 in the second stage.
        """
        config = self.config
        realism = in_realism_stage(config, step)
        adversarial = step >= config.adversarial_from
        perceptual = self._perceptual is not None and (realism or not config.realism)
        if realism and step == config.adversarial_from:
            # The first stage ends here. What is frozen is what inference uses.
            self.model.set_weights(self.ema.get_weights())
        factor = learning_rate_factor(config, step)
        (self.realism_optimizer if realism else self.optimizer).learning_rate = learning_rate(config, step)
        self.prior_optimizer.learning_rate = config.prior_learning_rate * factor
        self.discriminator_optimizer.learning_rate = config.discriminator_learning_rate * factor
        return self._distributed(
            batch,
            tf.constant(temperature(config, step)),
            tf.constant(average_decay(config, step)),
            self._corner(step, self._perceptual_side) if perceptual else None,
            self._corner(step, self.discriminator_side) if adversarial else None,
            realism,
        )

    @tf.function(autograph=False)
    def _distributed(
        self,
        batch: tuple[tf.Tensor, tf.Tensor],
        temperature: tf.Tensor,
        decay: tf.Tensor,
        perceptual_corner: tf.Tensor | None,
        discriminator_corner: tf.Tensor | None,
        realism: bool,
    ) -> Terms:
        corners = (perceptual_corner, discriminator_corner)  # of the terms' windows; None before a term starts
        terms, sums = self._strategy.run(self._replica_step, (*batch, temperature, *corners, realism))
        for average, variable in zip(self.ema.weights, self.model.weights, strict=True):
            average.assign_sub((1 - decay) * (average - variable))
        terms = {name: self._strategy.reduce("MEAN", value, axis=None) for name, value in terms.items()}
        sums = {name: self._strategy.reduce("SUM", value, axis=None) for name, value in sums.items()}
        rate_coeffs = tf.convert_to_tensor(self.model.rate_coeffs)
        if self.config.rate_target and not realism:
            following = next_rate_coeffs(rate_coeffs, sums["levels/rate"], sums["levels/photos"], self.config)
            self.model.rate_coeffs.assign(following)
        return {**terms, **sums, "levels/rate_coeff": rate_coeffs}

    def _corner(self, step: int, side: int) -> tf.Tensor:
        """Returns the row and column of a window of this side in the crops. They depend only on seed and step."""
        free = self.config.crop_size - side
        return tf.constant(np.random.default_rng((self.config.seed, step)).integers(0, free + 1, 2, np.int32))

    def _replica_step(
        self,
        photos: tf.Tensor,
        level: tf.Tensor,
        temperature: tf.Tensor,
        perceptual_corner: tf.Tensor | None,
        discriminator_corner: tf.Tensor | None,
        realism: bool,
    ) -> tuple[Terms, Terms]:
        config, model = self.config, self.model
        names = ("adversarial", "perceptual", "feature_matching", "pattern", "discriminator")
        terms = dict.fromkeys(names, tf.constant(0.0))
        # One forward pass of each network serves all losses.
        with tf.GradientTape(persistent=True) as tape:
            latents = model.encoder([photos, level], training=True)
            quantized = model.quantizer(latents, temperature=temperature)
            if realism:
                quantized = tf.stop_gradient(quantized)
            with nullcontext() if realism else at_realism_0():
                reconstructions = model.generator([quantized, level, tf.ones(photos.shape[0])], training=True)
            code_length, rate = model.code_lengths(latents, level, temperature)
            distortion = losses.distortion(photos, reconstructions)
            terms["code_length"], terms["rate"] = tf.reduce_mean(code_length), tf.reduce_mean(rate)
            terms["distortion"] = tf.reduce_mean(distortion)
            pair = (photos, reconstructions)
            if perceptual_corner is not None:
                terms["perceptual"] = self._perceptual(*_windows(pair, perceptual_corner, self._perceptual_side))
            if discriminator_corner is not None:
                terms["pattern"] = losses.pattern(*pair)
                real, fake = self._judged(*pair, quantized, discriminator_corner)
                terms["adversarial"] = losses.generator_adversarial(fake, config.use_vanilla_GAN)
                terms["feature_matching"] = losses.feature_matching(real, fake)
                terms["discriminator"] = losses.discriminator_adversarial(real, fake, config.use_vanilla_GAN)
            impression = (
                config.perceptual_coeff * terms["perceptual"]
                + config.adversarial_coeff * terms["adversarial"]
                + config.feature_matching_coeff * terms["feature_matching"]
                + config.pattern_coeff * terms["pattern"]
            )
            if realism:
                terms["generator"] = config.realism_distortion_coeff * terms["distortion"] + impression
                trained = [("generator", "generator", self.realism_optimizer, self._realism_variables)]
            else:
                terms["generator"] = self._rate_distortion(distortion, rate, level) + impression
                trained = [("generator", "generator", self.optimizer, self._variables)]
            # In the second stage, too: the averaged prior of the first stage was never fitted to the averaged encoder.
            trained.append(("prior", "code_length", self.prior_optimizer, model.prior.trainable_variables))
            if discriminator_corner is not None:
                variables = self.discriminator.trainable_variables
                trained.append(("discriminator", "discriminator", self.discriminator_optimizer, variables))
            scaled = [optimizer.scale_loss(terms[loss]) for _, loss, optimizer, _ in trained]
        # All gradients are taken before any weights change.
        gradients = [tape.gradient(loss, variables) for loss, (*_, variables) in zip(scaled, trained, strict=True)]
        for (name, _, optimizer, variables), own in zip(trained, gradients, strict=True):
            terms[f"gradient_norm/{name}"] = self._apply(optimizer, own, variables)
        sums = {"photos": tf.ones_like(rate), "rate": code_length, "distortion": distortion}
        sums = {
            f"levels/{name}": tf.math.unsorted_segment_sum(value, level, config.levels) for name, value in sums.items()
        }
        return terms, sums

    def _rate_distortion(self, distortion: tf.Tensor, rate: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """Returns the mean of distortion and rate over the photos, both (B,), at their levels (B,)."""
        rate_coeff = tf.gather(self.model.rate_coeffs, level)
        # In D + lambda R, low rates would drown the others; in D / lambda + R, high ones. This is the middle.
        balance = tf.minimum(1.0, tf.math.rsqrt(rate_coeff)) if self.config.levels > 1 else tf.ones_like(rate_coeff)
        return tf.reduce_mean(balance * (self.config.distortion_coeff * distortion + rate_coeff * rate))

    def _judged(
        self, photos: tf.Tensor, reconstructions: tf.Tensor, latents: tf.Tensor, corner: tf.Tensor
    ) -> tuple[losses.ScaleFeatures, losses.ScaleFeatures]:
        """Returns what the discriminator sees in a window of the photos and of the reconstructions."""
        hint = []
        if self.config.discriminator_sees_latents:
            hint = [tf.repeat(tf.repeat(tf.stop_gradient(latents), STRIDE, axis=1), STRIDE, axis=2)]
        photos, reconstructions, *hint = _windows((photos, reconstructions, *hint), corner, self.discriminator_side)
        # A model of one input takes it without a list.
        inputs = [[batch, *hint] if hint else batch for batch in (photos, reconstructions)]
        real, fake = (self.discriminator(own, training=True) for own in inputs)
        return real, fake

    def _apply(
        self, optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor], variables: list[keras.Variable]
    ) -> tf.Tensor:
        """Applies the replicas' mean gradients, clipped together, and returns their norm before clipping."""
        replica = tf.distribute.get_replica_context()
        scale = optimizer.scale_loss(tf.constant(1.0))
        # A level's vectors get one slice for each photo. Only their sum has the right norm.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients = replica.all_reduce("MEAN", gradients)
        norm = tf.linalg.global_norm(gradients)
        factor = 1 / replica.num_replicas_in_sync  # the optimizer sums over the replicas
        if self.config.gradient_clip:
            factor *= tf.minimum(1.0, self.config.gradient_clip * scale / norm)
        if self.config.gradient_clip or replica.num_replicas_in_sync > 1:  # otherwise the factor is 1
            gradients = [factor * gradient for gradient in gradients]
        optimizer.apply(gradients, variables)
        return norm / scale


def _windows(batches: tuple[tf.Tensor, ...], corner: tf.Tensor, side: int) -> list[tf.Tensor]:
    return [tf.image.crop_to_bounding_box(batch, corner[0], corner[1], side, side) for batch in batches]
