"""Importing TensorFlow quietly."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, which no log level silences on some processors.

    TensorFlow changes environment variables and warnings filters; these are restored. If the import fails, its messages
    are shown.
    """
    if "tensorflow" in sys.modules:
        return
    environment = dict(os.environ)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, while TensorFlow is imported
    try:
        with warnings.catch_warnings():
            _import_with_stderr_aside()
    finally:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)


def _import_with_stderr_aside() -> None:
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
