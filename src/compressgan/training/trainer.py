"""The training loop: steps, checkpoints, validation, and handling of what can go wrong in days of training."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from compressgan.checkpoint import CONFIG_FILE, StoredModel, read_config
from compressgan.config import Config
from compressgan.errors import CompressGANError, logger
from compressgan.evaluation.metrics import mean_line
from compressgan.images.files import make_folder
from compressgan.networks.export import export
from compressgan.networks.model import CompressGAN
from compressgan.training.data import training_dataset, validation_photos
from compressgan.training.guards import (
    LOG_FOLDER,
    assert_no_pattern,
    deferred_signals,
    has_state,
    locked,
    state_folder,
)
from compressgan.training.index import TEST_INDEX, TRAIN_INDEX, existing, read_index, write_index
from compressgan.training.perceptual import PerceptualLoss
from compressgan.training.schedules import learning_rate
from compressgan.training.strategies import assert_same_step
from compressgan.training.summaries import Summaries, level_figures
from compressgan.training.train_step import TrainStep
from compressgan.training.validation import Validator

BEST = "best"  # folder of the best checkpoint by validation score, inside the checkpoint folder
# The settings that define that score.
SCORED = ("distortion_coeff", "rate_coeff", "rate_target", "default_level")
SCORED += ("perceptual_coeff", "perceptual_kind", "vgg19_weights", "validation_images", "validation_max_side")


class TrainingEnded(Exception):  # noqa: N818, it is not an error
    """The user ended the training, and it has been saved."""


class Trainer:
    """Trains a CompressGAN in a checkpoint folder, and resumes from the training state there if there is one.

    The first stage has no adversarial term, because training a GAN from scratch is unstable. From `adversarial_from`
    on, the discriminator is trained, too. With `realism`, encoder and centers are frozen from there on.

    Args:
        config: the settings.
        directory: the checkpoint folder.
        log_directory: TensorBoard folder of this run.
        perceptual: the VGG19 term, or None if `perceptual_coeff` is 0.
        strategy: how the replicas are distributed; by default, on one device.
        init_from: a checkpoint folder whose weights a new run starts from.

    Attributes:
        is_chief: whether this is the worker that writes the checkpoint.

    Raises:
        CompressGANError: the training state or `init_from` does not fit the settings.
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
        assert_no_pattern(directory)
        self._strategy = strategy = strategy or tf.distribute.get_strategy()
        if config.batch_size % strategy.num_replicas_in_sync:
            raise CompressGANError(
                f"batch_size {config.batch_size} cannot be divided among {strategy.num_replicas_in_sync} devices"
            )
        resolver = strategy.cluster_resolver
        # Every worker reads the checkpoint; only one writes it.
        several_workers = resolver is not None and bool(resolver.cluster_spec())
        self.is_chief = not several_workers or resolver.task_id == 0
        self.config = config
        self.directory = directory
        self._perceptual = perceptual
        keras.utils.set_random_seed(config.seed)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_score = tf.Variable(math.inf, dtype=tf.float64, trainable=False)
        self.train_step = TrainStep(config, strategy, perceptual)
        resuming = has_state(directory)
        self._manager = self._restored(resuming)
        if several_workers:
            assert_same_step(strategy, int(self.step.numpy()), directory)
        if resuming:
            self._adapt_to_changes(read_config(directory)[0])
        elif init_from:
            self._start_from(StoredModel(init_from))
        self._log_directory = log_directory
        if self.is_chief:
            make_folder(log_directory)
        self._summaries = Summaries(log_directory if self.is_chief else None)

    def _restored(self, resuming: bool) -> tf.train.CheckpointManager:
        """Returns the manager of the training state, which has been restored if the run is resumed."""
        folder = state_folder(self.directory)
        state = tf.train.Checkpoint(step=self.step, best_score=self.best_score, **self.train_step.trackables())
        try:
            manager = tf.train.CheckpointManager(state, str(folder), max_to_keep=2)
            if resuming:
                state.restore(manager.latest_checkpoint or "nothing").assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError):
            raise CompressGANError(f"{folder}: damaged, or made with other settings") from None
        return manager

    def _adapt_to_changes(self, before: Config) -> None:
        """Sets back what changed settings make invalid in a resumed run."""
        self._assert_stage_can_stay(before)
        if self._resets_of_rates(before):
            self._start_rates()
        if any(getattr(self.config, name) != getattr(before, name) for name in SCORED):
            self.best_score.assign(math.inf)  # the old score is not comparable

    def _start_from(self, stored: StoredModel) -> None:
        """Takes over the weights of another model."""
        if name := self.config.other_architecture(stored.config):
            ours, theirs = getattr(self.config, name), getattr(stored.config, name)
            raise CompressGANError(f"{stored.path.parent}: {name} is {theirs}, but {ours} in the new run")
        for model in (self.model, self.ema):
            model.assign(stored)
        if not self.config.rate_target or not tf.reduce_all(self.model.rate_coeffs > 0):
            self._start_rates()

    def _assert_stage_can_stay(self, before: Config) -> None:
        """Checks that changed settings do not undo or skip what the second stage begins with."""
        step, config = int(self.step.numpy()), self.config
        names = self._resets_of_rates(before)
        if config.adversarial_from != before.adversarial_from:
            names.insert(0, "adversarial_from")
        if config.realism and names and step > min(before.adversarial_from, config.adversarial_from):
            raise CompressGANError(f"{self.directory}: in the second stage of training, {names[0]} cannot change")

    def _resets_of_rates(self, before: Config) -> list[str]:
        """Returns the changed settings that set the rate weights back. Without any, weights with a target stay."""
        names = ["rate_coeff"] if self.config.rate_coeff != before.rate_coeff else []
        return [*names, "rate_target"] if before.rate_target and not self.config.rate_target else names

    def _start_rates(self) -> None:
        """Sets the rate weights of all levels to where they start."""
        for model in (self.model, self.ema):
            model.rate_coeffs.assign(tf.fill(model.rate_coeffs.shape, self.config.rate_coeff))

    @property
    def model(self) -> CompressGAN:
        """The model being trained."""
        return self.train_step.model

    @property
    def ema(self) -> CompressGAN:
        """The model with averaged weights, which inference uses."""
        return self.train_step.ema

    def fit(self, train_paths: list[str], test_paths: list[str]) -> None:
        """Trains from the current step to `config.steps`.

        Ctrl-C or SIGTERM ends the training after the current step; a second one ends it at once, without saving.

        Raises:
            TrainingEnded: the user ended the training, and it has been saved.
            CompressGANError: none of the photos exists, another run is or was training in the folder meanwhile, a loss
                or gradient is not finite, a checkpoint cannot be written, or a worker is gone.
        """
        state = state_folder(self.directory)
        # Those that are missing now may be back when the run is resumed, so they stay in the index.
        present = [
            existing(paths, state / name) for paths, name in ((train_paths, TRAIN_INDEX), (test_paths, TEST_INDEX))
        ]
        if not self.is_chief:
            self._fit(*present)
            return
        with locked(state):
            if tf.train.latest_checkpoint(str(state)) != self._manager.latest_checkpoint:
                raise CompressGANError(
                    f"{self.directory}: another process has just continued this run; start the command again"
                )
            if (state / TEST_INDEX).is_file() and read_index(state / TEST_INDEX) != test_paths:
                self.best_score.assign(math.inf)  # of other photos
            # A call without -path resumes with these paths, even if other runs have indexed other photos since.
            write_index(state / TRAIN_INDEX, train_paths)
            write_index(state / TEST_INDEX, test_paths)
            (state / LOG_FOLDER).write_text(str(self._log_directory.resolve()), encoding="utf-8")
            self._fit(*present)

    def _fit(self, train_paths: list[str], test_paths: list[str]) -> None:
        start = int(self.step.numpy())
        if start and self.is_chief:
            # The run may have been killed after writing the training state and before writing the inference files, so
            # these are written now. If settings changed, the state is written first: otherwise a kill before the next
            # save would lose the change.
            unchanged = read_config(self.directory)[0] == self.config
            (self.save_for_inference if unchanged else self.save)()
        self._summaries.config(self.config, start)
        photos = validation_photos(test_paths, self.config) if self.is_chief else []
        validator = Validator(self.ema, photos, self._perceptual) if photos else None
        # A terminal gets a moving bar; a log file gets about one line per minute.
        interval = 0.1 if sys.stderr.isatty() else 60
        progress = tqdm(
            total=self.config.steps,
            initial=start,
            unit="step",
            dynamic_ncols=True,
            mininterval=interval,
            maxinterval=max(10, interval),
            disable=not self.is_chief,
        )
        try:
            with progress, deferred_signals() as signals:
                self._loop(train_paths, validator, start, progress, signals)
        except TrainingEnded:
            self.save()
            raise
        except tf.errors.OpError as error:
            gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError)
            if self._strategy.cluster_resolver is not None and isinstance(error, gone):
                raise CompressGANError("another worker is gone; restart all workers to resume") from None
            raise
        if start < self.config.steps and self.config.steps % self.config.save_every:  # otherwise it is already saved
            self.save()

    def _loop(
        self, train_paths: list[str], validator: Validator | None, start: int, progress: tqdm, signals: list[int]
    ) -> None:
        config = self.config
        dataset = self._strategy.distribute_datasets_from_function(
            lambda context: training_dataset(train_paths, config, start, context)
        )
        batches = iter(dataset)
        clock, clock_step = time.perf_counter(), start
        sums: dict[str, np.ndarray] = {}  # over the photos of each level since the last entry in TensorBoard
        for step in range(start, config.steps):
            result = {name: value.numpy() for name, value in self.train_step(next(batches), step).items()}
            terms = {name: float(value) for name, value in result.items() if not value.ndim}
            self._assert_finite(step + 1, terms)
            sums = {name: value + sums.get(name, 0.0) for name, value in result.items() if value.ndim}
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
                levels = level_figures(sums, result["levels/rate_coeff"], config)
                self._summaries.training(step, terms, levels, learning_rate(config, step - 1), speed)
                sums = {}
            if validator and step % config.validate_every == 0:
                self._validate(step, validator, progress)
            if step % config.save_every == 0:
                self.save()
            if signals:
                raise TrainingEnded

    def _assert_finite(self, step: int, terms: dict[str, float]) -> None:
        # Loss scaling for float16 finds its scale through occasional overflows, and skips those steps itself.
        scaled = self.config.precision == "mixed_float16"
        for name, value in terms.items():
            if not math.isfinite(value) and not (scaled and name.startswith("gradient_norm/")):
                kept = f"the last good checkpoint is kept in {self.directory}: resume from it"
                if not self._manager.latest_checkpoint:
                    kept = "nothing was saved before: start again"
                raise CompressGANError(
                    f"step {step}: {name} is {value}; {kept} with a lower learning rate, --set learning_rate=..."
                )

    def save(self) -> None:
        """Writes the training state and the averaged weights for inference.

        Raises:
            CompressGANError: the checkpoint folder cannot be written to; the previous checkpoint is kept.
        """
        if not self.is_chief:
            return
        if not (self.directory / CONFIG_FILE).exists():
            self.save_for_inference()  # the training state cannot be resumed without its settings
        try:
            self._manager.save(checkpoint_number=int(self.step.numpy()))
        except (tf.errors.OpError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise CompressGANError(
                f"{self.directory}: the training state cannot be written; the previous one is kept ({reason})"
            ) from None
        self.save_for_inference()
        self._summaries.flush()

    def save_for_inference(self) -> None:
        """Writes the averaged weights and the settings.

        Raises:
            CompressGANError: the checkpoint folder cannot be written to.
        """
        if self.is_chief:
            self.ema.save_weights_for_inference(self.directory, int(self.step.numpy()))

    def export(self) -> None:
        """Writes what inference without TensorFlow needs, from the weights saved last, or warns if it is impossible."""
        if self.is_chief:
            try:
                export(self.directory)
            except CompressGANError as error:
                logger.warning(error)

    def _validate(self, step: int, validator: Validator, progress: tqdm) -> None:
        """Logs a validation, and keeps the checkpoint with the lowest score so far."""
        result = validator()
        best = result.figures["score"] < float(self.best_score.numpy())
        self._summaries.validation(step, {**result.figures, "best": float(best)}, validator.photos, result)
        if best:
            self.best_score.assign(result.figures["score"])
            self.ema.save_weights_for_inference(self.directory / BEST, step)
        for level, rows in result.rows.items():
            progress.write(f"step {step}, level {level}: {mean_line(rows)}")
        if best:
            progress.write(f"step {step}: the best so far")
