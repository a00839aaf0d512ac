"""Guards for a training run: against unfinished steps on Ctrl-C, and against a second run in the same folder."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compressgan.errors import CompressGANError, UsageError, logger, os_reason, stop_signals

STATE_FILE = "checkpoint"  # file in the folder of a run's training state: which of its states is the newest
LOG_FOLDER = "log_folder"  # file in the folder of a run's training state: where its event files are


def state_folder(directory: Path) -> Path:
    """Returns the folder of a run's training state, inside its checkpoint folder."""
    return directory / "training"


def has_state(directory: Path) -> bool:
    """Returns whether a run has been saved in a checkpoint folder, so that it can be resumed."""
    return (state_folder(directory) / STATE_FILE).is_file()


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collects the first of `stop_signals`, so the current step can finish. A second one raises KeyboardInterrupt."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in stop_signals()}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder, and warns on file systems that have no locks.

    Raises:
        CompressGANError: another process trains there, or the folder cannot be made.
    """
    import portalocker  # only installed for training

    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise CompressGANError(f"{directory}: cannot be written to: {os_reason(error)}") from None
    with file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked:
            raise CompressGANError(f"{directory.parent}: another run is training here") from None
        except (portalocker.LockException, OSError):
            logger.warning(
                f"{directory}: this file system has no locks, so nothing stops a second run from starting here"
            )
        yield


def assert_no_pattern(directory: Path) -> None:
    """Checks that TensorFlow would not take a folder's path for a pattern, by which it would delete other runs' states.

    Raises:
        UsageError: it would.
    """
    found = "".join(sorted(set(directory.resolve().as_posix()) & set("[]*?\\")))
    if found:
        raise UsageError(f"{directory}: TensorFlow cannot keep a run in a folder whose path contains {' '.join(found)}")
