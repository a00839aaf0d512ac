"""The training loop: the step, its two stages, checkpoints, validation, TensorBoard."""

from __future__ import annotations

import math
import time
from pathlib import Path

from settings import Config

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

import losses
from codec import Codec
from data import training_dataset, validation_photos
from errors import CompressGANError
from metrics import mean, mean_line, measure
from model import CompressGAN, dtype_policy
from network import build_discriminator
from perceptual import PerceptualLoss

PICTURES = 4  # validation photos shown in TensorBoard


class Trainer:
    """Trains a CompressGAN in a checkpoint folder, going on from the training state there if there is one.

    The first stage has no adversarial term, since a GAN from a blank start is unstable; from `adversarial_from` on the
    discriminator trains along.

    Args:
        config: the settings.
        directory: checkpoint folder.
        log_directory: TensorBoard folder of this run.
        perceptual: the VGG19 term, or None where `perceptual_coeff` is 0.

    Raises:
        CompressGANError: the training state does not fit the settings.
    """

    def __init__(self, config: Config, directory: Path, log_directory: Path, perceptual: PerceptualLoss | None) -> None:
        keras.utils.set_random_seed(config.seed)
        self.config = config
        self.directory = directory
        self.model = CompressGAN(config)
        # A second model holds the averaged weights: the one that is validated, saved and used.
        self.ema = CompressGAN(config)
        self.ema.set_weights(self.model.get_weights())
        with dtype_policy(config.precision):
            self.discriminator = build_discriminator(config)
        networks = (self.model.encoder, self.model.quantizer, self.model.generator)
        self._variables = [variable for network in networks for variable in network.trainable_variables]
        self.optimizer = self._optimizer(self._variables)
        # The prior has its own, faster step: it must follow the latents, or the rate term would chase an old one.
        self.prior_optimizer = self._optimizer(self.model.prior.trainable_variables)
        self.discriminator_optimizer = self._optimizer(self.discriminator.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._perceptual = perceptual
        self._writer = tf.summary.create_file_writer(str(log_directory))
        state = tf.train.Checkpoint(
            model=self.model,
            ema=self.ema,
            discriminator=self.discriminator,
            optimizer=self.optimizer,
            prior_optimizer=self.prior_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            step=self.step,
        )
        self._manager = tf.train.CheckpointManager(state, str(directory / "training"), max_to_keep=2)
        if self._manager.latest_checkpoint:
            try:
                state.restore(self._manager.latest_checkpoint).assert_consumed()
            except (AssertionError, ValueError, tf.errors.OpError):
                raise CompressGANError(
                    f"{self._manager.latest_checkpoint}: damaged, or not of these settings"
                ) from None

    def _optimizer(self, variables: list[keras.Variable]) -> keras.optimizers.Optimizer:
        optimizer = keras.optimizers.Adam(
            beta_1=self.config.adam_beta_1, global_clipnorm=self.config.gradient_clip or None
        )
        if self.config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    def fit(self, train_paths: list[str], test_paths: list[str]) -> None:
        """Trains from the current step to `config.steps`; on Ctrl-C saves, and raises KeyboardInterrupt again.

        Raises:
            CompressGANError: a loss is not finite, or the checkpoint cannot be written.
        """
        config = self.config
        start = int(self.step.numpy())
        photos = validation_photos(test_paths, config)
        batches = iter(training_dataset(train_paths, config, start))
        progress = tqdm(total=config.steps, initial=start, unit="step", dynamic_ncols=True, smoothing=0.1)
        clock, clock_step = time.perf_counter(), start
        try:
            with self._writer.as_default(), progress:
                for step in range(start + 1, config.steps + 1):
                    terms = self._train_step(next(batches), step > config.adversarial_from)
                    progress.update()
                    if step % config.log_every == 0:
                        now = time.perf_counter()
                        speed = (step - clock_step) * config.batch_size / (now - clock)
                        clock, clock_step = now, step
                        self._log_step(step, terms, speed, progress)
                    if step % config.save_every == 0:
                        self.save()
                    if photos and step % config.validate_every == 0:
                        self._validate(step, photos, progress)
        except KeyboardInterrupt:
            self.save()
            raise
        if start < config.steps:
            self.save()

    def save(self) -> None:
        """Writes the training state and the averaged weights for inference.

        Raises:
            CompressGANError: the checkpoint folder cannot be written.
        """
        try:
            self._manager.save(checkpoint_number=int(self.step.numpy()))
        except (tf.errors.OpError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise CompressGANError(f"{self.directory}: the training state cannot be written ({reason})") from None
        self.ema.save_weights_for_inference(self.directory, int(self.step.numpy()))
        self._writer.flush()

    @tf.function
    def _train_step(self, photos: tf.Tensor, adversarial: bool) -> dict[str, tf.Tensor]:
        """One step on photos (B, H, W, 3) float32 in [-1, 1]; returns every loss term."""
        config = self.config
        self._set_learning_rates()
        terms = dict.fromkeys(("adversarial", "perceptual", "feature_matching", "discriminator"), tf.constant(0.0))
        # One forward pass of each network serves all losses.
        with tf.GradientTape(persistent=True) as tape:
            latents = self.model.encoder(photos, training=True)
            reconstructions = self.model.generator(self.model.quantizer(latents), training=True)
            symbols = self.model.quantizer.indices(latents)
            logits = self.model.prior(symbols)
            pixels = tf.size(photos) // 3
            terms["code_length"] = losses.code_length(tf.one_hot(symbols, config.levels), logits, pixels)
            soft = self.model.quantizer.assignments(latents)
            terms["rate"] = losses.code_length(soft, tf.stop_gradient(logits), pixels)
            prior_loss = self.prior_optimizer.scale_loss(terms["code_length"])
            terms["distortion"] = losses.distortion(photos, reconstructions)
            if self._perceptual:
                terms["perceptual"] = self._perceptual(photos, reconstructions)
            if adversarial:
                real = self.discriminator(photos, training=True)
                fake = self.discriminator(reconstructions, training=True)
                terms["adversarial"] = losses.generator_adversarial(fake, config.use_vanilla_GAN)
                terms["feature_matching"] = losses.feature_matching(real, fake)
                terms["discriminator"] = losses.discriminator_adversarial(real, fake, config.use_vanilla_GAN)
                discriminator_loss = self.discriminator_optimizer.scale_loss(terms["discriminator"])
            # Rate costs only above the target, as in HiFiC (Mentzer et al., arXiv 2006.09965, section 3.3).
            rate_coeff = config.rate_coeff * tf.cast(terms["code_length"] > config.rate_target, tf.float32)
            terms["generator"] = (
                config.distortion_coeff * terms["distortion"]
                + rate_coeff * terms["rate"]
                + config.perceptual_coeff * terms["perceptual"]
                + config.adversarial_coeff * terms["adversarial"]
                + config.feature_matching_coeff * terms["feature_matching"]
            )
            loss = self.optimizer.scale_loss(terms["generator"])
        # Both gradients are taken before either network moves.
        gradients = tape.gradient(loss, self._variables)
        prior_gradients = tape.gradient(prior_loss, self.model.prior.trainable_variables)
        if adversarial:
            variables = self.discriminator.trainable_variables
            self.discriminator_optimizer.apply(tape.gradient(discriminator_loss, variables), variables)
        self.optimizer.apply(gradients, self._variables)
        self.prior_optimizer.apply(prior_gradients, self.model.prior.trainable_variables)
        self._update_ema()
        self.step.assign_add(1)
        return terms

    def _set_learning_rates(self) -> None:
        """Linear warm-up, then a cosine down to a share of the rate."""
        config = self.config
        step = tf.cast(self.step, tf.float32)
        warmup = tf.minimum(1.0, (step + 1) / max(1, config.warmup_steps))
        done = tf.clip_by_value((step - config.warmup_steps) / max(1, config.steps - config.warmup_steps), 0.0, 1.0)
        share = config.final_learning_rate_share
        factor = warmup * (share + (1 - share) * 0.5 * (1 + tf.cos(math.pi * done)))
        self.optimizer.learning_rate.assign(config.learning_rate * factor)
        self.prior_optimizer.learning_rate.assign(config.prior_learning_rate * factor)
        self.discriminator_optimizer.learning_rate.assign(config.discriminator_learning_rate * factor)

    def _update_ema(self) -> None:
        # Early on the average must forget faster than `ema_decay`, or it would hold the random start for long.
        step = tf.cast(self.step, tf.float32)
        decay = tf.minimum(self.config.ema_decay, (1 + step) / (10 + step))
        for average, variable in zip(self.ema.weights, self.model.weights, strict=True):
            average.assign_sub((1 - decay) * (average - variable))

    def _log_step(self, step: int, terms: dict[str, tf.Tensor], speed: float, progress: tqdm) -> None:
        values = {name: float(value) for name, value in terms.items()}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise CompressGANError(
                f"step {step}: the {bad[0]} loss is {values[bad[0]]}; the last good checkpoint is kept in "
                f"{self.directory}: go on from there with a lower learning rate"
            )
        for name, value in values.items():
            tf.summary.scalar(f"loss/{name}", value, step)
        tf.summary.scalar("learning_rate", self.optimizer.learning_rate, step)
        tf.summary.scalar("images_per_second", speed, step)
        progress.set_postfix(mse=f"{values['distortion']:.5f}", bpp=f"{values['code_length']:.4f}")

    def _validate(self, step: int, photos: list[np.ndarray], progress: tqdm) -> None:
        """Compresses whole photos with the averaged weights to real bytes, and logs what comes back."""
        codec = Codec(self.ema, fingerprint=bytes(4))
        measured = [measure(codec, photo) for photo in photos]
        rows = [figures for figures, _, _ in measured]
        for name in ("psnr", "ms_ssim", "bpp"):
            tf.summary.scalar(f"validation/{name}", mean(rows, name), step)
        for i, (photo, (_, _, reconstruction)) in enumerate(zip(photos[:PICTURES], measured, strict=False)):
            picture = np.concatenate([photo, reconstruction], axis=1)
            tf.summary.image(f"original_and_reconstruction/{i}", picture[np.newaxis], step)
        latents = np.concatenate([codec.latents(photo).ravel() for photo in photos])
        tf.summary.histogram("latents", latents, step)
        symbols = self.ema.quantizer.indices(latents)
        tf.summary.histogram("symbols", symbols, step, buckets=self.config.levels)
        progress.write(f"step {step}: {mean_line(rows)}")
