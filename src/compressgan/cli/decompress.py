"""Reconstructing photos from `.bin` files."""

from __future__ import annotations

import argparse
import time

from compressgan.cli.binaries import is_bin, read_bin
from compressgan.cli.jobs import Job, Result, find_jobs, keep_nothing, naming, run_jobs
from compressgan.cli.options import PICTURE_SUFFIXES, load_codec
from compressgan.cli.remote import no_urls
from compressgan.images.files import make_folder
from compressgan.images.writing import check_size, write_picture


def decompress(arguments: argparse.Namespace) -> int:
    """Reconstructs the photos of `arguments.c`, and returns the exit code."""
    no_urls(*arguments.c, arguments.o)
    started = time.perf_counter()
    jobs = find_jobs(arguments.c, arguments.o, ".bin files", is_bin)
    make_folder(arguments.o)
    codec = load_codec(arguments)
    suffix = f"_reconstructed.{PICTURE_SUFFIXES[arguments.format]}"
    if arguments.verbose:
        print(f"start-up: {time.perf_counter() - started:.1f} s")

    def reconstruct(job: Job) -> Job:
        with naming(job.file):
            with job.timed("decode"):
                symbols, *size, level = codec.from_bytes(read_bin(job.file))
            check_size(job.output(suffix), *size)
            with job.timed("reconstruct"):
                job.reconstruction = codec.reconstruct(symbols, *size, level, arguments.realism)
        return job

    def write(job: Job) -> Result:
        target = job.output(suffix)
        with naming(job.file), job.timed("save"):
            write_picture(target, job.reconstruction)
        height, width = job.reconstruction.shape[:2]
        return Result(f"{target}: {width} x {height}{job.timings() if arguments.verbose else ''}")

    todo = [job for job in jobs if job.missing((suffix,), arguments.no_overwrite)]
    return run_jobs(todo, len(jobs), keep_nothing, (reconstruct, 1), (write, 2))
