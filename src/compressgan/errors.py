"""Errors with a message for the user, and the library's logger."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger("compressgan")  # warnings about input that is skipped or only partly usable

interrupted = threading.Event()  # set by a command line on Ctrl-C or SIGTERM; long loops in threads check it


class CompressGANError(Exception):
    """An error that the user can fix. The message is one line that names the file and what is wrong with it."""


class UsageError(CompressGANError):
    """The command line asks for something impossible."""


def os_reason(error: OSError) -> str:
    """Returns the operating system's reason for an error, without the error number and the path."""
    return error.strerror or str(error)
