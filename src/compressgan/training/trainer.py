"""The training loop: steps, checkpoints, validation, and what can go wrong in days of it."""

from __future__ import annotations

import fcntl
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from settings import Config

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from codec import Codec
from data import TEST_INDEX, TRAIN_INDEX, training_dataset, validation_photos, write_index
from errors import CompressGANError, os_reason
from files import make_folder
from metrics import compare, mean, mean_line
from model import CONFIG_FILE, CompressGAN, read_config
from perceptual import PerceptualLoss
from photo import to_float
from summaries import Summaries
from train_step import TrainStep, learning_rate_factor

BEST = "best"  # folder of the best checkpoint by validation score, inside the checkpoint folder
SCORED = ("distortion_coeff", "rate_coeff", "rate_target", "perceptual_coeff", "vgg19_weights")  # shape that score


class TrainingEnded(Exception):  # noqa: N818, it is no error
    """The user ended the training; it has been saved."""


class Trainer:
    """Trains a CompressGAN in a checkpoint folder, going on from the training state there if there is one.

    The first stage has no adversarial term, since a GAN from a blank start is unstable; from `adversarial_from` on the
    discriminator trains along.

    Args:
        config: the settings.
        directory: checkpoint folder.
        log_directory: TensorBoard folder of this run.
        perceptual: the VGG19 term, or None where `perceptual_coeff` is 0.
        strategy: how the replicas are spread; one device by default.
        init_from: checkpoint folder whose weights a new run starts from.

    Raises:
        CompressGANError: the training state does not fit the settings, or `init_from` does not.
    """

    def __init__(
        self,
        config: Config,
        directory: Path,
        log_directory: Path,
        perceptual: PerceptualLoss | None = None,
        strategy: tf.distribute.Strategy | None = None,
        init_from: Path | None = None,
    ) -> None:
        strategy = strategy or tf.distribute.get_strategy()
        if config.batch_size % strategy.num_replicas_in_sync:
            raise CompressGANError(
                f"batch_size {config.batch_size} cannot be shared equally by {strategy.num_replicas_in_sync} devices"
            )
        resolver = strategy.cluster_resolver
        # Every worker reads the checkpoint, one writes.
        self._is_chief = resolver is None or not resolver.cluster_spec() or resolver.task_id == 0
        self.config = config
        self.directory = directory
        self._strategy = strategy
        self._perceptual = perceptual
        keras.utils.set_random_seed(config.seed)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_score = tf.Variable(math.inf, dtype=tf.float64, trainable=False)
        self.train_step = TrainStep(config, strategy, perceptual)
        state = tf.train.Checkpoint(step=self.step, best_score=self.best_score, **self.train_step.trackables())
        resuming = (directory / "training" / "checkpoint").exists()
        try:
            self._manager = tf.train.CheckpointManager(state, str(directory / "training"), max_to_keep=2)
            if resuming:
                state.restore(self._manager.latest_checkpoint or "nothing").assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError):
            raise CompressGANError(f"{directory / 'training'}: damaged, or not of these settings") from None
        if resuming:
            # A weight that follows a target has found its value, which goes on unless it is set anew.
            before = read_config(directory)[0]
            if not config.rate_target or config.rate_coeff != before.rate_coeff:
                self.train_step.rate_coeff.assign(config.rate_coeff)
            if any(getattr(config, name) != getattr(before, name) for name in SCORED):
                self.best_score.assign(math.inf)  # scores of other terms do not compare
        elif init_from:
            self.model.assign_from(init_from)
            self.ema.assign_from(init_from)
        if self._is_chief:
            make_folder(log_directory)
        self._summaries = Summaries(log_directory if self._is_chief else None)

    @property
    def model(self) -> CompressGAN:
        """The model being trained."""
        return self.train_step.model

    @property
    def ema(self) -> CompressGAN:
        """The model of averaged weights, which inference uses."""
        return self.train_step.ema

    def fit(self, train_paths: list[str], test_paths: list[str]) -> None:
        """Trains from the current step to `config.steps`.

        Ctrl-C or SIGTERM ends it after the step, a second one at once and without saving.

        Raises:
            TrainingEnded: it was ended, and has saved.
            CompressGANError: another run trains in the folder, a loss or gradient is not finite, a checkpoint cannot be
                written, or a worker is gone.
        """
        if not self._is_chief:
            self._fit(train_paths, test_paths)
            return
        state = self.directory / "training"
        with _lock(state):
            # What a call without -path goes on with, whatever other runs have indexed since.
            write_index(state / TRAIN_INDEX, train_paths)
            write_index(state / TEST_INDEX, test_paths)
            self._fit(train_paths, test_paths)

    def _fit(self, train_paths: list[str], test_paths: list[str]) -> None:
        start = int(self.step.numpy())
        if start and self._is_chief:
            # A kill may have come between the training state and these files. What a change of settings has set in the
            # state must be there before it is in them, or a kill before the next save would lose it.
            unchanged = read_config(self.directory)[0] == self.config
            (self.save_for_inference if unchanged else self.save)()
        self._summaries.config(self.config, start)
        photos = validation_photos(test_paths, self.config) if self._is_chief else []
        # A log file gets a line now and then, a terminal a moving bar.
        interval = 0.1 if sys.stderr.isatty() else 60
        progress = tqdm(
            total=self.config.steps,
            initial=start,
            unit="step",
            dynamic_ncols=True,
            mininterval=interval,
            maxinterval=max(10, interval),
            disable=not self._is_chief,
        )
        try:
            with progress, _signals() as signals:
                self._loop(train_paths, photos, start, progress, signals)
        except TrainingEnded:
            self.save()
            raise
        except tf.errors.OpError as error:
            gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError)
            if self._strategy.cluster_resolver is not None and isinstance(error, gone):
                raise CompressGANError("another worker is gone; start all of them again to go on") from None
            raise
        if start < self.config.steps and self.config.steps % self.config.save_every:  # else it is saved already
            self.save()

    def _loop(
        self, train_paths: list[str], photos: list[np.ndarray], start: int, progress: tqdm, signals: list[int]
    ) -> None:
        config = self.config
        dataset = self._strategy.distribute_datasets_from_function(
            lambda context: training_dataset(train_paths, config, start, context)
        )
        batches = iter(dataset)
        clock, clock_step = time.perf_counter(), start
        for step in range(start, config.steps):
            terms = {name: float(value) for name, value in self.train_step(next(batches), step).items()}
            self._assert_finite(step + 1, terms)
            step += 1
            self.step.assign(step)
            progress.set_postfix(
                {"mse": f"{terms['distortion']:.5f}", "bpp": f"{terms['code_length']:.4f}"}, refresh=False
            )
            progress.update()
            if step % config.log_every == 0:
                now = time.perf_counter()
                speed = (step - clock_step) * config.batch_size / (now - clock)
                clock, clock_step = now, step
                learning_rate = config.learning_rate * learning_rate_factor(config, step - 1)
                self._summaries.training(step, terms, learning_rate, speed)
            if photos and step % config.validate_every == 0:
                self._validate(step, photos, progress)
            if step % config.save_every == 0:
                self.save()
            if signals:
                raise TrainingEnded

    def _assert_finite(self, step: int, terms: dict[str, float]) -> None:
        # Loss scaling for float16 finds its scale by overflowing now and then, and skips those steps by itself.
        scaled = self.config.precision == "mixed_float16"
        for name, value in terms.items():
            if not math.isfinite(value) and not (scaled and name.startswith("gradient_norm/")):
                raise CompressGANError(
                    f"step {step}: {name} is {value}; the last good checkpoint is kept in {self.directory}: "
                    "go on from there with a lower learning rate, --set learning_rate=..."
                )

    def save(self) -> None:
        """Writes the training state and the averaged weights for inference.

        Raises:
            CompressGANError: the checkpoint folder cannot be written; the checkpoint before is kept.
        """
        if not self._is_chief:
            return
        if not (self.directory / CONFIG_FILE).exists():
            self.save_for_inference()  # without its settings the training state could not be resumed
        try:
            self._manager.save(checkpoint_number=int(self.step.numpy()))
        except (tf.errors.OpError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise CompressGANError(
                f"{self.directory}: the training state cannot be written; the one before is kept ({reason})"
            ) from None
        self.save_for_inference()
        self._summaries.flush()

    def save_for_inference(self) -> None:
        """Writes the averaged weights and the settings.

        Raises:
            CompressGANError: they cannot be written.
        """
        if self._is_chief:
            self.ema.save_weights_for_inference(self.directory, int(self.step.numpy()))

    def _validate(self, step: int, photos: list[np.ndarray], progress: tqdm) -> None:
        """Compresses whole photos with the averaged weights to real bytes, unrefined, and logs what comes back.

        The best checkpoint is the one with the least validation score: the loss without its adversarial terms.
        """
        config = self.config
        codec = Codec(self.ema, fingerprint=bytes(4), memory=2**62)
        latents = [codec.latents(photo) for photo in photos]
        symbols = [codec.quantize(own) for own in latents]
        files = [codec.to_bytes(own, *photo.shape[:2]) for own, photo in zip(symbols, photos, strict=True)]
        reconstructions = [codec.decompress(file) for file in files]
        rows = [compare(codec, *job) for job in zip(photos, files, reconstructions, strict=True)]
        figures = {name: mean(rows, name) for name in ("psnr", "ms_ssim", "bpp")}
        pairs = [tuple(to_float(x)[np.newaxis] for x in pair) for pair in zip(photos, reconstructions, strict=True)]
        # A rate that is held at its target does not count: its weight changes from step to step.
        figures["score"] = 0.0 if config.rate_target else config.rate_coeff * figures["bpp"]
        figures["score"] += config.distortion_coeff * float(np.mean([np.mean((x - y) ** 2) for x, y in pairs]))
        if self._perceptual:
            figures["perceptual"] = float(np.mean([float(self._perceptual(x, y)) for x, y in pairs]))
            figures["score"] += config.perceptual_coeff * figures["perceptual"]
        best = figures["score"] < float(self.best_score.numpy())
        figures["best"] = float(best)
        latents, symbols = (np.concatenate([own.ravel() for own in kind]) for kind in (latents, symbols))
        centers = self.ema.quantizer.centers.numpy()
        self._summaries.validation(step, figures, photos, reconstructions, latents, symbols, centers)
        if best:
            self.best_score.assign(figures["score"])
            self.ema.save_weights_for_inference(self.directory / BEST, step)
        progress.write(f"step {step}: {mean_line(rows)}{', the best so far' if best else ''}")


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects the first Ctrl-C or SIGTERM, so that a step is never left half-way; a second one ends the program."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder.

    Raises:
        CompressGANError: another process trains there, or the folder cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise CompressGANError(f"{directory}: cannot be written: {os_reason(error)}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CompressGANError(f"{directory.parent}: another run is training here") from None
        yield
