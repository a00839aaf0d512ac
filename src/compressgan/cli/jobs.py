"""Jobs: input files that pass through the stages of a command."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from compressgan.cli.process import deferred_interrupts
from compressgan.errors import CompressGANError, UsageError, logger, os_reason
from compressgan.images.damage import Corruption
from compressgan.images.files import inputs_under, is_utf8, output_stems
from compressgan.images.pipeline import overlapped

if TYPE_CHECKING:
    from compressgan.evaluation.metrics import Figures


@dataclass
class Job:
    """An input file, and the results made from it so far."""

    file: Path | str  # a URL until `localized` has fetched it
    name: str  # path under the input folder
    stem: Path  # path of its outputs, without suffix
    photo: np.ndarray | None = None  # (H, W, 3) uint8
    mask: np.ndarray | None = None  # which parts of the photo matter, (h, w) uint8 of any size
    data: bytes = b""  # of the .bin file
    level: int = 0  # of the .bin file
    reconstruction: np.ndarray | None = None  # (H, W, 3) uint8
    seconds: dict[str, float] = field(default_factory=dict)  # by part of the work

    def output(self, suffix: str) -> Path:
        """Returns the path of an output. The stem may contain dots."""
        return self.stem.with_name(f"{self.stem.name}{suffix}")

    def missing(self, suffixes: tuple[str, ...], no_overwrite: bool) -> list[Path]:
        """Returns the outputs to write: all of them, or only those that do not exist yet."""
        paths = [self.output(suffix) for suffix in suffixes]
        # os.path.exists, because Path.exists raises if a name is too long.
        return [path for path in paths if not (no_overwrite and os.path.exists(path))]

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Measures the seconds of a part of the work."""
        start = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - start

    def timings(self) -> str:
        """Returns the seconds of all parts, one line each."""
        return "".join(f"\n    {part}: {seconds:.3f} s" for part, seconds in self.seconds.items())


@dataclass(frozen=True)
class Result:
    """What is kept of a job once its outputs are written."""

    text: str  # to print
    figures: Figures | None = None


Keep = Callable[[Job, Result], None]  # is given each successful job's result, as soon as it is known


def keep_nothing(job: Job, result: Result) -> None:
    """Keeps no results."""


def find_jobs(paths: list[Path], output: Path, kind: str, wanted: Callable[[Path], bool]) -> list[Job]:
    """Returns a job for each of the input files, and for each wanted file in the input folders, except under `output`.

    Names and outputs mirror the folders below the one that holds all inputs.

    Raises:
        UsageError: the output folder is an input folder.
        CompressGANError: a path does not exist, a folder holds no wanted file, or a file's name is not UTF-8.
    """
    files, folders = [], []
    for path in paths:
        if path.is_dir():
            files += inputs_under(path, output, kind, wanted)
        elif not path.exists():
            raise CompressGANError(f"{path}: no such file or folder")
        elif not is_utf8(path):
            raise CompressGANError(f"{path}: its name is not UTF-8")
        else:
            files.append(path)
        folders.append(path if path.is_dir() else path.parent)
    if len(paths) > 1:
        # Without `..` and links to folders, each file once. A link to a file keeps its own name.
        files = list(dict.fromkeys(file.parent.resolve() / file.name for file in files))
        try:
            folders = [Path(os.path.commonpath([folder.resolve() for folder in folders]))]
        except ValueError:  # on Windows
            raise UsageError("inputs on several drives need one call for each") from None
    stems = output_stems(files, folders[0], output)
    return [Job(file, str(file.relative_to(folders[0])), stem) for file, stem in stems.items()]


_noted: set[str] = set()
_noting = threading.Lock()


def note_once(file: Path | str, text: str) -> None:
    """Logs what is lost of a photo: damage for each photo, anything else only once."""
    if isinstance(text, Corruption):
        logger.warning(f"{file}: {text}")
        return
    with _noting:
        first = text not in _noted
        _noted.add(text)
    if first:
        logger.warning(f"{file}: {text} (reported only once)")


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Prefixes errors with the file's name."""
    try:
        yield
    except CompressGANError as error:
        raise CompressGANError(f"{file}: {error}") from None
    except OSError as error:
        raise CompressGANError(f"{file}: {os_reason(error)}") from None
    except MemoryError:
        raise CompressGANError(f"{file}: not enough memory; --memory sets how much the networks may use") from None


def run_jobs(todo: list[Job], total: int, keep: Keep, *stages: tuple[Callable, int]) -> int:
    """Sends jobs through the stages, prints the result or the error of each, and returns the exit code.

    Args:
        todo: the jobs.
        total: the number of files, including those that are already done.
        keep: is given each successful job's result, as soon as it is known.
        stages: functions, each with its number of threads; the last function returns a `Result`.
    """
    (first, threads), *others = stages

    def start(job: Job) -> Job:
        return first(replace(job, seconds={}))  # a copy, which is freed once it is done

    outcomes = ((job, future.result) for job, future in overlapped(todo, (start, threads), *others))
    return collect(todo, total, keep, outcomes)


def collect(
    todo: list[Job],
    total: int,
    keep: Keep,
    outcomes: Iterable[tuple[Job, Callable[[], Result]]],
) -> int:
    """Prints the result or the error of each job once it has ended, and returns the exit code.

    Args:
        todo, total, keep: as for `run_jobs`.
        outcomes: the jobs as they end, each with a function that returns its result or raises its error.
    """
    if len(todo) < total:
        print(f"{total - len(todo)} of {total} files are already done")
    failed = 0
    with (
        deferred_interrupts(),
        tqdm(total=len(todo), unit="file", disable=len(todo) <= 1 or not sys.stderr.isatty()) as progress,
    ):
        for job, result in outcomes:
            try:
                own = result()
                keep(job, own)
                progress.write(own.text, file=sys.stdout)
                sys.stdout.flush()
            except CompressGANError as error:
                logger.error(error)
                failed += 1
            progress.update()
    if failed and len(todo) > 1:
        logger.error(f"{failed} of {len(todo)} files failed")
    return 1 if failed else 0
