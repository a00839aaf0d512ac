"""Running a command as its own process: threads, logging, signals, one-line errors, exit codes."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from compressgan.errors import CompressGANError, UsageError, interrupted, logger, os_reason, stop_signals

_deferring: list[bool] = []  # empty outside `deferred_interrupts`


def run_command(name: str) -> NoReturn:
    """Runs the command line `compressgan.cli.NAME` with the top-level `config.py`, and exits like `run`."""

    def main() -> int:
        project = importlib.import_module("config").PROJECT
        return importlib.import_module(f"compressgan.cli.{name}").main(project)

    run(main)


def run(main: Callable[[], int]) -> NoReturn:
    """Runs a command line, and exits: 0, 1 for failure, 2 for wrong usage, 130 for Ctrl-C. Each error is one line."""
    _prepare_process()
    try:
        from compressgan.images.reading import register_heic

        register_heic()
        code = main()
    except UsageError as error:
        logger.error(error)
        code = 2
    except CompressGANError as error:
        logger.error(error)
        code = 1
    except KeyboardInterrupt:
        logger.error("interrupted")
        code = 130
    except BrokenPipeError:  # the reader of stdout is gone, as in `... | head`
        code = 1
    except OSError as error:
        logger.error(f"{error.filename}: {os_reason(error)}" if error.filename else os_reason(error))
        code = 1
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")
        if interrupted.is_set():  # some imports turn KeyboardInterrupt into an error of their own
            logger.error("interrupted")
            sys.exit(130)
        if not tensorflow or not isinstance(error, tensorflow.errors.OpError):
            raise
        logger.error(f"TensorFlow: {_plain(error.message)}")
        code = 1
    sys.exit(code if _flushed() else 1)


def _flushed() -> bool:
    """Writes what was printed and is still held back, and returns whether that was possible."""
    try:
        sys.stdout.flush()
        return True
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain at its end
        if not isinstance(error, BrokenPipeError):
            logger.error(f"standard output: {os_reason(error)}")
        return False


def _plain(message: str) -> str:
    """Returns what matters to a user of one of TensorFlow's messages."""
    first = next(iter(re.sub(r"\{\{.*?\}\}", "", message).strip().splitlines()), "unknown error")
    return re.sub(r"^\w+Error: ", "", first)


def _prepare_process() -> None:
    _open_standard_streams()
    # These two must be set before NumPy and TensorFlow are imported. The user's own values are kept.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the entropy coder's matrices are too small for two threads
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    quiet_libraries()
    logger.addHandler(_LineHandler())
    logger.propagate = False
    # Each raises KeyboardInterrupt, at the latest after `deferred_interrupts`, so every `finally` runs and no
    # half-written file is left.
    for number in stop_signals():
        signal.signal(number, _interrupt)
    sys.stdout.reconfigure(errors="backslashreplace")  # for file names that the terminal cannot show


def quiet_libraries() -> None:
    """Keeps libraries from writing what does not concern the user."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for name in ("PIL", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # their errors are ours, with the file's name
    warnings.filterwarnings("ignore", module="PIL")  # of no interest as long as the photo can be read


def _open_standard_streams() -> None:
    """Opens what the caller has closed. The next files opened would otherwise receive what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, for the process's whole life


def _interrupt(number: int, frame: object) -> None:
    again = interrupted.is_set()
    interrupted.set()
    if again or not _deferring:
        raise KeyboardInterrupt


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Lets the first signal to stop only set `interrupted`, for code that checks it; the second one raises.

    An exception in the middle of waiting for another thread could leave a lock behind, for which that thread would wait
    for ever.
    """
    _deferring.append(True)
    try:
        yield
    finally:
        _deferring.pop()
    if interrupted.is_set():
        raise KeyboardInterrupt


class _LineHandler(logging.Handler):
    """Writes each message as one line to stderr, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        text = " ".join(record.getMessage().split())
        # If stderr cannot be written, nobody can be told, but the work can go on.
        with suppress(OSError), tqdm.external_write_mode(file=sys.stderr):
            # In one piece, so that no other thread writes into the line.
            sys.stderr.write(f"{record.levelname.lower()}: {text}\n")
            sys.stderr.flush()
