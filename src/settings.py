"""The first import of every module: makes `config.py`, which lives beside `src/`, importable, and TensorFlow quiet.

This is the only place that touches `sys.path`.
"""

import logging
import os
import sys
from pathlib import Path

# Has to be set before TensorFlow is imported; a value that the user has set stays.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import (
    ARCHITECTURE,
    CHECKPOINTS_DIR,
    DATA_DIR,
    DEFAULT_CHECKPOINT,
    PREPROCESS_SIZE,
    PRESETS,
    STRIDE,
    TENSORBOARD_DIR,
    VERSION,
    Config,
)

logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = [
    "ARCHITECTURE",
    "CHECKPOINTS_DIR",
    "DATA_DIR",
    "DEFAULT_CHECKPOINT",
    "PREPROCESS_SIZE",
    "PRESETS",
    "STRIDE",
    "TENSORBOARD_DIR",
    "VERSION",
    "Config",
]
