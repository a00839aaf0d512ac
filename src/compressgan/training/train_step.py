"""One training step: networks, losses, gradients and averaged weights, on one or several devices or machines."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from compressgan.config import Config
from compressgan.geometry import STRIDE
from compressgan.networks.discriminator import build_discriminator
from compressgan.networks.model import CompressGAN, dtype_policy
from compressgan.training import losses
from compressgan.training.optimizers import Adam, Muon
from compressgan.training.perceptual import PerceptualLoss
from compressgan.training.rate_control import next_rate_coeff

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
            with dtype_policy(config.precision):
                self.discriminator = build_discriminator(config)
            networks = (self.model.encoder, self.model.quantizer, self.model.generator)
            self._variables = [variable for network in networks for variable in network.trainable_variables]
            self.optimizer = self._make_optimizer(self._variables, OPTIMIZERS[config.optimizer])
            # The prior has its own, higher learning rate. It must keep up with the latents, or the rate term would
            # follow an outdated prior.
            self.prior_optimizer = self._make_optimizer(self.model.prior.trainable_variables)
            self.discriminator_optimizer = self._make_optimizer(self.discriminator.trainable_variables)
            self.rate_coeff = tf.Variable(config.rate_coeff, trainable=False, name="rate_coeff")

    def trackables(self) -> dict[str, object]:
        """Returns everything that changes with a step, for tf.train.Checkpoint."""
        return {
            "model": self.model,
            "ema": self.ema,
            "discriminator": self.discriminator,
            "optimizer": self.optimizer,
            "prior_optimizer": self.prior_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "rate_coeff": self.rate_coeff,
        }

    def _make_optimizer(self, variables: list[keras.Variable], kind: type[Adam] = Adam) -> keras.optimizers.Optimizer:
        optimizer = kind(beta_1=self.config.adam_beta_1)
        if self.config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    def __call__(self, photos: tf.Tensor, step: int) -> Terms:
        """Trains on a batch.

        Args:
            photos: (B, H, W, 3) float32 in [-1, 1], from the strategy's dataset.
            step: number of steps before this one.

        Returns:
            Every loss term and gradient norm: float32 scalars, means over the replicas.
        """
        config = self.config
        perceptual = self._perceptual is not None and step >= config.perceptual_from
        adversarial = step >= config.adversarial_from
        factor = learning_rate_factor(config, step)
        self.optimizer.learning_rate = config.learning_rate * factor
        self.prior_optimizer.learning_rate = config.prior_learning_rate * factor
        self.discriminator_optimizer.learning_rate = config.discriminator_learning_rate * factor
        return self._distributed(
            photos,
            tf.constant(temperature(config, step)),
            # At first the average must decay faster than `ema_decay`, or the random start would stay in it for long.
            tf.constant(min(config.ema_decay, (1 + step) / (10 + step))),
            self._corner(step, self._perceptual_side) if perceptual else None,
            self._corner(step, self.discriminator_side) if adversarial else None,
        )

    @tf.function
    def _distributed(
        self,
        photos: tf.Tensor,
        temperature: tf.Tensor,
        decay: tf.Tensor,
        perceptual_corner: tf.Tensor | None,
        discriminator_corner: tf.Tensor | None,
    ) -> Terms:
        corners = (perceptual_corner, discriminator_corner)  # of the terms' windows; None before a term starts
        terms = self._strategy.run(self._replica_step, (photos, temperature, *corners))
        for average, variable in zip(self.ema.weights, self.model.weights, strict=True):
            average.assign_sub((1 - decay) * (average - variable))
        terms = {name: self._strategy.reduce("MEAN", value, axis=None) for name, value in terms.items()}
        terms["rate_coeff"] = self.rate_coeff + 0.0
        if self.config.rate_target:
            self.rate_coeff.assign(next_rate_coeff(self.rate_coeff, terms["code_length"], self.config))
        return terms

    def _corner(self, step: int, side: int) -> tf.Tensor:
        """Returns the row and column of a window of this side in the crops. They depend only on seed and step."""
        free = self.config.crop_size - side
        return tf.constant(np.random.default_rng((self.config.seed, step)).integers(0, free + 1, 2, np.int32))

    def _replica_step(
        self,
        photos: tf.Tensor,
        temperature: tf.Tensor,
        perceptual_corner: tf.Tensor | None,
        discriminator_corner: tf.Tensor | None,
    ) -> Terms:
        config, model = self.config, self.model
        names = ("adversarial", "perceptual", "feature_matching", "pattern", "discriminator")
        terms = dict.fromkeys(names, tf.constant(0.0))
        # One forward pass of each network serves all losses.
        with tf.GradientTape(persistent=True) as tape:
            latents = model.encoder(photos, training=True)
            reconstructions = model.generator(model.quantizer(latents, temperature=temperature), training=True)
            terms["code_length"], terms["rate"] = model.code_lengths(latents, temperature, tf.size(photos) // 3)
            terms["distortion"] = losses.distortion(photos, reconstructions)
            if perceptual_corner is not None:
                terms["perceptual"] = self._perceptual(
                    *_windows((photos, reconstructions), perceptual_corner, self._perceptual_side)
                )
            if discriminator_corner is not None:
                terms["pattern"] = losses.pattern(photos, reconstructions)
                real, fake = (
                    self.discriminator(window, training=True)
                    for window in _windows((photos, reconstructions), discriminator_corner, self.discriminator_side)
                )
                terms["adversarial"] = losses.generator_adversarial(fake, config.use_vanilla_GAN)
                terms["feature_matching"] = losses.feature_matching(real, fake)
                terms["discriminator"] = losses.discriminator_adversarial(real, fake, config.use_vanilla_GAN)
            terms["generator"] = (
                config.distortion_coeff * terms["distortion"]
                + self.rate_coeff * terms["rate"]
                + config.perceptual_coeff * terms["perceptual"]
                + config.adversarial_coeff * terms["adversarial"]
                + config.feature_matching_coeff * terms["feature_matching"]
                + config.pattern_coeff * terms["pattern"]
            )
            trained = [
                ("generator", "generator", self.optimizer, self._variables),
                ("prior", "code_length", self.prior_optimizer, model.prior.trainable_variables),
            ]
            if discriminator_corner is not None:
                variables = self.discriminator.trainable_variables
                trained.append(("discriminator", "discriminator", self.discriminator_optimizer, variables))
            scaled = [optimizer.scale_loss(terms[loss]) for _, loss, optimizer, _ in trained]
        # All gradients are taken before any weights change.
        gradients = [tape.gradient(loss, variables) for loss, (*_, variables) in zip(scaled, trained, strict=True)]
        for (name, _, optimizer, variables), own in zip(trained, gradients, strict=True):
            terms[f"gradient_norm/{name}"] = self._apply(optimizer, own, variables)
        return terms

    def _apply(
        self, optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor], variables: list[keras.Variable]
    ) -> tf.Tensor:
        """Applies the replicas' mean gradients, clipped together, and returns their norm before clipping."""
        replica = tf.distribute.get_replica_context()
        scale = optimizer.scale_loss(tf.constant(1.0))
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


def learning_rate_factor(config: Config, step: int) -> float:
    """Returns the factor of all learning rates: a linear warm-up, then a cosine decay."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    done = min(1.0, max(0.0, (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)))
    share = config.final_learning_rate_share
    return warmup * (share + (1 - share) * 0.5 * (1 + math.cos(math.pi * done)))


def temperature(config: Config, step: int) -> float:
    """Returns the temperature of the soft assignment, which changes geometrically from the first to the last step."""
    done = min(1.0, step / config.steps)
    return config.temperature * (config.final_temperature / config.temperature) ** done
