"""Importing TensorFlow quietly."""

from __future__ import annotations

import os
import re
import sys
import warnings

from compressgan.errors import CompressGANError
from compressgan.quiet import without_lines

# Environment variables that TensorFlow and Keras set for themselves while they are imported.
_SET_BY_TENSORFLOW = ("TF2_BEHAVIOR", "TPU_ML_PLATFORM", "TPU_ML_PLATFORM_VERSION", "HDF5_PLUGIN_PATH")
_SET_BY_TENSORFLOW += ("ENABLE_RUNTIME_UPTIME_TELEMETRY", "TF_CPP_MIN_LOG_LEVEL")
# Keras imports matplotlib, which fails on a notebook's backend outside of it.
_NEEDED = {"KERAS_BACKEND": "tensorflow", "MPLBACKEND": "agg"}
_TENSORFLOWS_LINES = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} |To enable the following instr")


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, which no log level silences on some processors.

    TensorFlow changes environment variables and warnings filters; these are restored. If the import fails, its messages
    are shown. Keras is imported with TensorFlow as its backend, whatever its settings say.

    Raises:
        CompressGANError: this process uses Keras with another backend.
        ImportError: TensorFlow or Keras is not installed.
    """
    before = {name: os.environ.get(name) for name in (*_SET_BY_TENSORFLOW, *_NEEDED)}
    os.environ.update(_NEEDED)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, while TensorFlow is imported
    try:
        if "tensorflow" not in sys.modules:
            with warnings.catch_warnings(), without_lines(_TENSORFLOWS_LINES):
                import tensorflow  # noqa: F401
        import keras
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    if keras.backend.backend() != "tensorflow":
        raise CompressGANError(f"Keras uses {keras.backend.backend()} in this process, but TensorFlow is needed")
