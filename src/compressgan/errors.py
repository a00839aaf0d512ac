"""Errors that are the user's to mend, and how the command lines report them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

interrupted = threading.Event()  # Ctrl-C or SIGTERM has come: threads that work for long look at it and end


class CompressGANError(Exception):
    """Something that the user can mend: the message is one line that names the file and what is wrong."""


class UsageError(CompressGANError):
    """The command line asks for something that cannot be done as written."""


def report(error: Exception | str) -> None:
    """Writes one line to stderr about something that could not be done."""
    _line("error", error)


def warn(text: Exception | str) -> None:
    """Writes one line to stderr about something that was done otherwise than one might expect."""
    _line("warning", text)


def _line(kind: str, text: Exception | str) -> None:
    print(f"{kind}: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def os_reason(error: OSError) -> str:
    """Returns what the operating system says is wrong, without number and path."""
    return error.strerror or str(error)


def run(main: Callable[[], int]) -> None:
    """Runs a command line and exits: 0, 1 for failure, 2 for usage, 130 for Ctrl-C; errors are one line each."""
    # Both through every `finally`, so that no half-written file stays.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored: a job in the background
        signal.signal(signal.SIGINT, _interrupt)
    # A name that the terminal's encoding does not know must not end the work.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
    except UsageError as error:
        report(error)
        code = 2
    except CompressGANError as error:
        report(error)
        code = 1
    except KeyboardInterrupt:
        report("interrupted")
        code = 130
    except BrokenPipeError:  # `... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        report(f"{error.filename}: {os_reason(error)}" if error.filename else error)
        code = 1
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")  # not loaded for an error's sake
        if not tensorflow or not isinstance(error, tensorflow.errors.OpError):
            raise
        report(f"TensorFlow: {error.message.splitlines()[0]}")
        code = 1
    sys.exit(code)


def _interrupt(number: int, frame: object) -> None:
    interrupted.set()
    raise KeyboardInterrupt
