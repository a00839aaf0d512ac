"""Compressing photos to `.bin` files, with reconstructions, comparisons and tables of figures."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from compressgan.cli.compressor import Compressor, output_suffixes
from compressgan.cli.jobs import Job, Keep, Result, keep_nothing, run_jobs
from compressgan.cli.options import PICTURE_FORMAT, load_codec
from compressgan.cli.remote import find_photos, staged
from compressgan.errors import CompressGANError, UsageError
from compressgan.images.files import make_folder, real

if TYPE_CHECKING:
    from compressgan.evaluation.html_report import HtmlReport


def compress(arguments: argparse.Namespace) -> int:
    """Compresses the photos of `arguments.path`, prints and writes the figures, and returns the exit code."""
    with staged(arguments) as own:
        return compress_only(own) if own.bin_only else compress_and_measure(own)


def compress_and_measure(arguments: argparse.Namespace) -> int:
    """Makes all outputs, prints and writes the figures, and returns the exit code."""
    started = time.perf_counter()
    jobs = start_jobs(arguments)
    # These take a second to import, which a wrong path need not cost.
    from compressgan.evaluation.html_report import REPORT, HtmlReport
    from compressgan.evaluation.metrics import mean_line
    from compressgan.evaluation.summary import Summary

    summary = Summary(arguments.o)
    report = HtmlReport(arguments.o) if arguments.report else None
    compressor = start_compressor(arguments, report, started)
    todo = [job for job in jobs if arguments.report or compressor.missing(job) or job.name not in summary]
    made: list[str] = []

    def keep(job: Job, result: Result) -> None:
        summary.add(result.figures)
        made.append(job.name)

    try:
        code = run(compressor, todo, len(jobs), keep)
    finally:
        # Also if the user interrupts the call, to keep the figures of finished photos.
        if made:
            summary.write()
    shown = [job.name for job in jobs if job.name in summary] if arguments.no_overwrite else made
    if shown:
        print(mean_line(summary.of(shown)))
    if report and made:
        report.write(arguments.o / REPORT, made)
        print(f"report: {arguments.o / REPORT}")
    return code


def compress_only(arguments: argparse.Namespace) -> int:
    """Makes the `.bin` files of `arguments.path` and nothing else, and returns the exit code."""
    if arguments.report or arguments.realism is not None or arguments.format != PICTURE_FORMAT:
        raise UsageError("--report, --realism and --format are about reconstructions, which --bin-only does not make")
    started = time.perf_counter()
    jobs = start_jobs(arguments)
    compressor = start_compressor(arguments, None, started)
    todo = [job for job in jobs if compressor.missing(job)]
    return run(compressor, todo, len(jobs))


def start_compressor(arguments: argparse.Namespace, report: HtmlReport | None, started: float) -> Compressor:
    """Loads the model, and says how long the command, which started at `started`, took until then."""
    compressor = Compressor(load_codec(arguments), arguments, report)
    if arguments.verbose:
        print(f"start-up: {time.perf_counter() - started:.1f} s")
    return compressor


def run(compressor: Compressor, todo: list[Job], total: int, keep: Keep = keep_nothing) -> int:
    """Compresses the photos here or, with --ray, on Ray; as `run_jobs`."""
    if compressor.arguments.ray:
        from compressgan.cli.cluster import run_on_ray

        return run_on_ray(compressor.arguments, todo, total, keep)
    return run_jobs(todo, total, keep, *compressor.stages)


def start_jobs(arguments: argparse.Namespace) -> list[Job]:
    """Returns a job for each photo of `arguments.path`, once the output folder can be written to."""
    if arguments.mask and not arguments.mask.exists():
        raise CompressGANError(f"{arguments.mask}: no such file or folder")
    if arguments.ray and arguments.report:
        raise UsageError("--report cannot be combined with --ray")
    if arguments.ray and arguments.threads:
        raise UsageError("--threads has no effect with --ray, which gives each photo one thread")
    jobs = find_photos(arguments, output_suffixes(arguments))
    if arguments.mask and not arguments.input_url:
        masks = real(arguments.mask)
        jobs = [job for job in jobs if not real(job.file).is_relative_to(masks)]
        if not jobs:
            raise UsageError(f"{arguments.mask}: no photos are left, because all of them are masks")
    if not arguments.input_url:
        assert_inputs_stay(jobs, output_suffixes(arguments))
    make_folder(arguments.o)
    return jobs


def assert_inputs_stay(jobs: list[Job], suffixes: tuple[str, ...]) -> None:
    """Checks that no output would replace an input.

    Raises:
        UsageError: one would.
    """
    # Of millions of photos, few have outputs already, and only those can be inputs.
    existing = [(path, job) for job in jobs for path in map(job.output, suffixes) if os.path.exists(path)]
    inputs = {real(job.file) for job in jobs} if existing else set()
    for path, job in existing:
        if real(path) in inputs:
            raise UsageError(f"{path}: this output of {job.file} would overwrite another photo to compress")
