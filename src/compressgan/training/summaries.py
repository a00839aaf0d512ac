"""What TensorBoard shows of a run."""

from __future__ import annotations

import json
from pathlib import Path

from settings import Config

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

PICTURES = 4  # validation photos shown


class Summaries:
    """Writes one run's scalars, pictures and histograms.

    Args:
        directory: TensorBoard folder of the run, or None to write nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._writer = tf.summary.create_file_writer(str(directory)) if directory else tf.summary.create_noop_writer()

    def config(self, config: Config, step: int) -> None:
        """Writes the settings as text, and as hyperparameters by which runs compare."""
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
        reconstructions: list[np.ndarray],
        latents: np.ndarray,
        symbols: np.ndarray,
        centers: np.ndarray,
    ) -> None:
        """Writes figures; original and reconstruction side by side; latents, symbol use and centers."""
        share = np.bincount(symbols, minlength=len(centers)) / symbols.size
        share = share[share > 0]
        with self._writer.as_default(step):
            for name, value in figures.items():
                tf.summary.scalar(f"validation/{name}", value)
            for i, (photo, reconstruction) in enumerate(zip(photos, reconstructions, strict=True)):
                if i < PICTURES:
                    picture = np.concatenate([photo, reconstruction], axis=1)
                    tf.summary.image(f"original_and_reconstruction/{i}", picture[np.newaxis])
            tf.summary.histogram("latents", latents)
            tf.summary.histogram("symbols", symbols, buckets=len(centers))
            tf.summary.scalar("symbols/entropy_bits", -float(share @ np.log2(share)))
            for i, center in enumerate(centers):
                tf.summary.scalar(f"centers/{i}", center)

    def flush(self) -> None:
        """Makes what was written so far visible."""
        self._writer.flush()
