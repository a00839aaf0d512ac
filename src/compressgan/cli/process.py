"""The first import of every module: makes `config.py`, which lives beside `src/`, importable, and TensorFlow quiet.

This is the only place that touches `sys.path`.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

# Have to be set before TensorFlow and NumPy are imported; values that the user has set stay.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The entropy coder's matrices are small: shared by two threads they take longer, and twice the work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import (
    ARCHITECTURE,
    BEFORE_SETTING,
    CHECKPOINTS_DIR,
    DATA_DIR,
    DEFAULT_CHECKPOINT,
    DEFAULT_EFFORT,
    EXPERIMENTS_DIR,
    MAX_EFFORT,
    MAX_PIXELS,
    PRECISIONS,
    PREPROCESS_SIZE,
    PRESETS,
    PROJECT_DIR,
    STRIDE,
    TENSORBOARD_DIR,
    VERSION,
    Config,
)

logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = [
    "ARCHITECTURE",
    "BEFORE_SETTING",
    "CHECKPOINTS_DIR",
    "DATA_DIR",
    "DEFAULT_CHECKPOINT",
    "DEFAULT_EFFORT",
    "EXPERIMENTS_DIR",
    "MAX_EFFORT",
    "MAX_PIXELS",
    "PRECISIONS",
    "PREPROCESS_SIZE",
    "PRESETS",
    "PROJECT_DIR",
    "STRIDE",
    "TENSORBOARD_DIR",
    "VERSION",
    "Config",
    "load_tensorflow",
]


def load_tensorflow() -> None:
    """Imports TensorFlow without what it writes to stderr while it starts, which no log level silences on some CPUs.

    Command lines call this before they import a module that uses TensorFlow. A failed import shows everything.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
