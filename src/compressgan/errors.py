"""Errors with a message for the user, and the library's logger."""

from __future__ import annotations

import logging
import signal
import threading

logger = logging.getLogger("compressgan")  # warnings about input that is skipped or only partly usable

interrupted = threading.Event()  # set by a command line when a signal stops it; long loops in threads check it


def stop_signals() -> list[int]:
    """Returns the signals that ask this process to stop, without those that its caller has made it ignore.

    A background job ignores Ctrl-C, and under `nohup` it ignores the end of the terminal.
    """
    known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


class CompressGANError(Exception):
    """An error that the user can fix. The message is one line that names the file and what is wrong with it."""


class UsageError(CompressGANError):
    """The command line asks for something impossible."""


def os_reason(error: OSError) -> str:
    """Returns the operating system's reason for an error, without the error number and the path."""
    return error.strerror or str(error)
