"""Compressing photos on all CPUs of this machine, or of a Ray cluster whose machines share the folders."""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compressgan.cli.compressor import Compressor
from compressgan.cli.jobs import Job, Keep, Result, collect, note_once
from compressgan.cli.options import THIS_MACHINE, load_codec, require_extra
from compressgan.cli.process import quiet_libraries
from compressgan.cli.remote import localized
from compressgan.errors import CompressGANError, interrupted, logger, os_reason
from compressgan.quiet import without_lines
from compressgan.runtime import available_cpus

if TYPE_CHECKING:
    from ray import ObjectRef

_RAYS_LINES = re.compile(rb"\[\d{4}-\d\d-\d\d .*\] [a-z_]+\.cc:\d+: ")  # on the way to a failure that is told anyway
_TRIES = 5  # of a photo whose worker dies, as when its machine leaves or runs out of memory


@dataclass
class _Outcome:
    """What a worker returns for a photo."""

    result: Result | None = None
    error: str = ""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_on_ray(arguments: argparse.Namespace, todo: list[Job], total: int, keep: Keep) -> int:
    """Does what `run_jobs` does, on Ray: one photo for each CPU at a time. A photo whose worker dies is tried again.

    Machines may join and leave meanwhile. Arguments and exit code are as for `run_jobs`.

    Raises:
        CompressGANError: Ray is missing, or there is no such cluster.
    """
    with _ray(arguments.ray):
        return collect(todo, total, keep, _outcomes(arguments, todo))


@contextmanager
def _ray(address: str) -> Iterator[None]:
    """Connects to a cluster, or starts one on this machine."""
    require_extra("ray", "ray")
    _assert_reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without it, a photo for which there is too little memory would be tried for ever.
    os.environ.setdefault("RAY_task_oom_retries", str(_TRIES - 1))
    import ray

    # In a clone, the package is not installed.
    folder = Path(__file__).resolve().parents[2]
    variables = {"OPENBLAS_NUM_THREADS": "1"} | ({"PYTHONPATH": str(folder)} if folder.name == "src" else {})
    options = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": {"env_vars": variables}}
    if address == THIS_MACHINE:
        options |= {"num_cpus": available_cpus(), "include_dashboard": False}
    failure, handler = None, signal.getsignal(signal.SIGTERM)
    with without_lines(_RAYS_LINES) as lines:
        try:
            ray.init(address, **options)
        except SystemExit:  # from Ray's handler of SIGTERM
            failure = KeyboardInterrupt()
        except Exception as error:  # Ray's are of many classes, also of this one
            failure = error
    signal.signal(signal.SIGTERM, handler)  # Ray has set its own
    if isinstance(failure, KeyboardInterrupt):
        raise failure
    if failure:
        reason = next(iter(str(failure).strip().splitlines()), type(failure).__name__)
        if any(b"token" in line for line in lines):
            reason = "it requires a token; RAY_AUTH_MODE=token sends yours"
        raise CompressGANError(f"--ray {address}: {reason}")
    try:
        yield
    finally:
        with without_lines(_RAYS_LINES):  # about photos that were under way when a signal came
            ray.shutdown()


def _assert_reachable(address: str) -> None:
    """Checks that something listens at HOST:PORT, because Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in address:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise CompressGANError(f"--ray {address}: cannot be reached ({error})") from None


def _outcomes(arguments: argparse.Namespace, todo: list[Job]) -> Iterator[tuple[Job, Callable[[], Result]]]:
    """Yields the jobs as they end, each with a function that returns its result or raises its error."""
    import ray

    work = ray.remote(num_cpus=1, max_retries=_TRIES - 1)(_work)
    settings = ray.put((arguments, os.getcwd()))
    waiting: dict[ObjectRef, Job] = {}
    jobs = iter(todo)
    while True:
        # Enough for machines that join, and few enough for any memory.
        most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while len(waiting) < most and (job := next(jobs, None)):
            waiting[work.remote(settings, job)] = job
        if not waiting:
            return
        for ended in ray.wait(list(waiting), num_returns=len(waiting), timeout=0.1)[0]:
            job = waiting.pop(ended)
            yield job, functools.partial(_result, job, ended)
        if interrupted.is_set():
            raise KeyboardInterrupt


def _result(job: Job, ended: ObjectRef) -> Result:
    """Returns what a worker has made of a job, and logs what it has logged."""
    import ray

    try:
        outcome: _Outcome = ray.get(ended)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError):
        raise CompressGANError(f"{job.file}: its worker has died {_TRIES} times") from None
    except ray.exceptions.RayError as error:  # such as a machine without this package, or with a full disk
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[-1] if isinstance(error, ray.exceptions.RayTaskError) else lines[0]  # the end of a traceback
        raise CompressGANError(f"{job.file}: {reason}") from None
    for text in outcome.notes:
        note_once(job.file, text)
    for text in outcome.warnings:
        logger.warning(text)
    if outcome.result is None:
        raise CompressGANError(outcome.error)
    return outcome.result


def _work(settings: tuple[argparse.Namespace, str], job: Job) -> _Outcome:
    """Compresses a photo in a worker."""
    outcome = _Outcome()
    urls: dict[str, str] = {}
    try:
        with _collecting([]):  # what there is to say about the model, the caller has said
            compressor = _compressor(settings)
        compressor.note = lambda file, text: outcome.notes.append(text)
        with _collecting(outcome.warnings), localized(job, compressor.arguments) as (own, urls):
            outcome.result = compressor(own)
    except CompressGANError as error:
        outcome.error = str(error)
    except OSError as error:  # of a folder for temporary files
        outcome.error = f"{job.file}: {os_reason(error)}"
    for path, url in urls.items():  # as the user knows them
        outcome.error = outcome.error.replace(path, url)
        outcome.warnings = [line.replace(path, url) for line in outcome.warnings]
    return outcome


_compressors: dict[str, Compressor] = {}  # of this process: loading a model takes longer than compressing with it


def _compressor(settings: tuple[argparse.Namespace, str]) -> Compressor:
    arguments, folder = settings
    key = repr(settings)
    if key not in _compressors:
        from compressgan.images.reading import register_heic

        quiet_libraries()
        register_heic()
        with contextlib.suppress(OSError):  # which the machine may not share; then only absolute paths will do
            os.chdir(folder)
        arguments = argparse.Namespace(**{**vars(arguments), "threads": 1, "verbose": False})
        _compressors[key] = Compressor(load_codec(arguments), arguments)
    return _compressors[key]


@contextmanager
def _collecting(lines: list[str]) -> Iterator[None]:
    """Collects what is logged."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, before = Handler(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
