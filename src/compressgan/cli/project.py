"""The settings that the project's top-level `config.py` provides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compressgan.config import Config


@dataclass(frozen=True)
class Project:
    """Presets, folders and defaults of the commands under `src/`.

    Attributes:
        presets: settings for training, by name. `compact` is the default.
        default_checkpoint: the model used without -r.
        checkpoints: folder of runs, for `train.py -rl`.
        indexes: folder of the path indexes that `train.py` makes.
        tensorboard: folder of event files, one sub-folder per run.
        experiments: folder of results, one sub-folder per experiment.
        effort: refinement steps without --effort.
        preprocess_size: width and height of preprocessed photos, pixels.
    """

    presets: Mapping[str, Config]
    default_checkpoint: Path
    checkpoints: Path
    indexes: Path
    tensorboard: Path
    experiments: Path
    effort: int
    preprocess_size: tuple[int, int]
