"""What TensorBoard shows about a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from compressgan.config import Config
from compressgan.training.validation import Validation

PICTURES = 4  # validation photos shown


class Summaries:
    """Writes one run's scalars, pictures and histograms.

    Args:
        directory: TensorBoard folder of the run, or None to write nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._writer = tf.summary.create_file_writer(str(directory)) if directory else tf.summary.create_noop_writer()

    def config(self, config: Config, step: int) -> None:
        """Writes the settings as text, and as hyperparameters for comparing runs."""
        values = config.to_json()
        with self._writer.as_default(step):
            tf.summary.text("config", f"```\n{json.dumps(values, indent=2)}\n```")
            hparams.hparams({k: str(v) if isinstance(v, list) else v for k, v in values.items()})
        self.flush()

    def training(self, step: int, terms: dict[str, float], learning_rate: float, speed: float) -> None:
        """Writes the loss terms and gradient norms of one step, and the speed in images per second."""
        with self._writer.as_default(step):
            for name, value in terms.items():
                tf.summary.scalar(name if "/" in name else f"loss/{name}", value)
            tf.summary.scalar("learning_rate", learning_rate)
            tf.summary.scalar("images_per_second", speed)

    def validation(
        self,
        step: int,
        figures: dict[str, float],
        photos: list[np.ndarray],
        result: Validation,
    ) -> None:
        """Writes figures, originals beside reconstructions, latents, symbol usage, and centers."""
        share = np.bincount(result.symbols, minlength=len(result.centers)) / result.symbols.size
        share = share[share > 0]
        with self._writer.as_default(step):
            for name, value in figures.items():
                tf.summary.scalar(f"validation/{name}", value)
            for i, pair in enumerate(zip(photos[:PICTURES], result.reconstructions[:PICTURES], strict=True)):
                tf.summary.image(f"original_and_reconstruction/{i}", np.concatenate(pair, axis=1)[np.newaxis])
            tf.summary.histogram("latents", result.latents)
            tf.summary.histogram("symbols", result.symbols, buckets=len(result.centers))
            tf.summary.scalar("symbols/entropy_bits", -float(share @ np.log2(share)))
            for i, center in enumerate(result.centers):
                tf.summary.scalar(f"centers/{i}", center)

    def flush(self) -> None:
        """Makes everything written so far visible."""
        self._writer.flush()
