"""What TensorBoard shows about a run."""

from __future__ import annotations

import json
import math
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

    def training(
        self, step: int, terms: dict[str, float], levels: list[dict[str, float]], learning_rate: float, speed: float
    ) -> None:
        """Writes the loss terms and gradient norms of one step, and the speed.

        Args:
            step: the number of steps done.
            terms: by name.
            levels: for each level from 1 on, its figures by name, which may be NaN if they are not known.
            learning_rate: in this step.
            speed: images per second since the last entry, validating and saving included.
        """
        with self._writer.as_default(step):
            for name, value in terms.items():
                tf.summary.scalar(name if "/" in name else f"loss/{name}", value)
            for level, figures in enumerate(levels, start=1):
                for name, value in figures.items():
                    if not math.isnan(value):
                        tf.summary.scalar(f"level{level}/{name}", value)
            tf.summary.scalar("learning_rate", learning_rate)
            tf.summary.scalar("images_per_second", speed)

    def validation(
        self,
        step: int,
        figures: dict[str, float],
        photos: list[np.ndarray],
        result: Validation,
    ) -> None:
        """Writes figures, originals beside reconstructions of rising realism, latents, symbol usage, and centers."""
        share = np.bincount(result.symbols, minlength=len(result.centers)) / result.symbols.size
        share = share[share > 0]
        with self._writer.as_default(step):
            for name, value in figures.items():
                tf.summary.scalar(f"validation/{name}", value)
            for i, (photo, pictures) in enumerate(zip(photos[:PICTURES], result.pictures[:PICTURES], strict=True)):
                row = np.concatenate([photo, *pictures], axis=1)
                tf.summary.image(f"original_and_reconstructions/{i}", row[np.newaxis])
            tf.summary.histogram("latents", result.latents)
            tf.summary.histogram("symbols", result.symbols, buckets=len(result.centers))
            tf.summary.scalar("symbols/entropy_bits", -float(share @ np.log2(share)))
            for i, center in enumerate(result.centers):
                tf.summary.scalar(f"centers/{i}", center)

    def flush(self) -> None:
        """Makes everything written so far visible."""
        self._writer.flush()


def level_figures(sums: dict[str, np.ndarray], rate_coeffs: np.ndarray, config: Config) -> list[dict[str, float]]:
    """Returns the figures of each level for TensorBoard, from sums over its photos as `TrainStep` returns them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rates, errors = (sums[f"levels/{name}"] / sums["levels/photos"] for name in ("rate", "distortion"))
        psnrs = 10 * np.log10(4 / errors)  # the peak on [-1, 1] is 2
    columns = {"rate": rates, "rate_target": config.rate_targets, "rate_coeff": rate_coeffs, "psnr": psnrs}
    return [{name: float(values[i]) for name, values in columns.items()} for i in range(config.levels)]
