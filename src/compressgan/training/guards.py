"""Guards for a training run: against unfinished steps on Ctrl-C, and against a second run in the same folder."""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compressgan.errors import CompressGANError, os_reason


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collects the first Ctrl-C or SIGTERM, so the current step can finish. A second one raises KeyboardInterrupt."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder.

    Raises:
        CompressGANError: another process trains there, or the folder cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise CompressGANError(f"{directory}: cannot be written to: {os_reason(error)}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CompressGANError(f"{directory.parent}: another run is training here") from None
        yield
