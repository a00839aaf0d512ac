"""Importing TensorFlow quietly."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings

# Environment variables that TensorFlow and Keras set for themselves while they are imported.
_SET_BY_TENSORFLOW = ("TF2_BEHAVIOR", "TPU_ML_PLATFORM", "TPU_ML_PLATFORM_VERSION", "HDF5_PLUGIN_PATH")
_SET_BY_TENSORFLOW += ("ENABLE_RUNTIME_UPTIME_TELEMETRY", "TF_CPP_MIN_LOG_LEVEL")
_TENSORFLOWS_LINES = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} |To enable the following instr")


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, which no log level silences on some processors.

    TensorFlow changes environment variables and warnings filters; these are restored. If the import fails, its messages
    are shown.
    """
    if "tensorflow" in sys.modules:
        return
    before = {name: os.environ.get(name) for name in _SET_BY_TENSORFLOW}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, while TensorFlow is imported
    try:
        with warnings.catch_warnings():
            _import_without_messages()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _import_without_messages() -> None:
    try:
        stderr = os.dup(2)
    except OSError:  # closed, so there is nothing to keep quiet
        import tensorflow

        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        failed = True
        try:
            import tensorflow  # noqa: F401

            failed = False
        finally:
            os.dup2(stderr, 2)
            messages.seek(0)
            for line in messages:  # other threads may have written, too
                if failed or not _TENSORFLOWS_LINES.match(line):
                    os.write(stderr, line)
            os.close(stderr)
