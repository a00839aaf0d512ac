"""Compresses photos to .bin files, and reconstructs photos from .bin files.

python src/inference.py -path photo.jpg -o output            # photo.bin, photo_reconstructed.png, photo_comparison.png
python src/inference.py -path photos -o output               # a folder and what is under it; also summary.csv, .json
python src/inference.py -path photos -o output --report      # also report.html: a table, before/after sliders
python src/inference.py -path photos -o output --no-overwrite    # only what is not there yet
python src/inference.py -c output/photo.bin -o restored      # the reconstruction, from the .bin alone
python src/inference.py -c output -o restored --format webp  # every .bin of a folder, as WebP
python src/inference.py -r checkpoints/mine ...              # with another model than the shipped one
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from settings import load_tensorflow

import numpy as np
from tqdm import tqdm

from arithmetic_coder import CODERS
from bitstream import BitstreamError
from errors import CompressGANError, UsageError, os_reason, report, run, warn
from files import inputs_under, make_folder, output_stems, replacing
from options import add_codec_options
from photo import check_size, is_photo, read_photo, write_picture
from pipeline import overlapped

if TYPE_CHECKING:
    from codec import Codec
    from metrics import Figures

SUFFIXES = {"png": "png", "webp": "webp", "jpeg": "jpg"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-path", metavar="PHOTO|DIR", type=Path, help="photo or folder of photos to compress")
    what.add_argument("-c", metavar="BIN|DIR", type=Path, help=".bin file or folder of .bin files to reconstruct")
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="output folder; made if there is none")
    add_codec_options(parser)
    parser.add_argument(
        "--format", choices=SUFFIXES, default="png", help="of the reconstructions; webp and jpeg of quality 95"
    )
    parser.add_argument(
        "--report", action="store_true", help="also write report.html, with SSIMULACRA2 up to 2 megapixels"
    )
    parser.add_argument("--no-overwrite", action="store_true", help="leave what exists, make what is missing")
    parser.add_argument("--verbose", action="store_true", help="seconds that each part took")
    parser.add_argument(
        "--memory", metavar="GIB", type=float, default=1.0, help="what the networks may take; default: %(default)s GiB"
    )
    parser.add_argument("--coder", choices=CODERS, default="context", help="entropy coder, recorded in the .bin")
    return parser.parse_args()


@dataclass
class Job:
    """A file on its way through reading, computing and writing."""

    file: Path  # input
    stem: Path  # of the outputs
    photo: np.ndarray | None = None  # (H, W, 3) uint8
    data: bytes = b""  # of the .bin
    reconstruction: np.ndarray | None = None  # (H, W, 3) uint8
    seconds: dict[str, float] = field(default_factory=dict)  # by part of the work

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - start

    def timings(self) -> str:
        return "".join(f"\n    {part}: {seconds:.3f} s" for part, seconds in self.seconds.items())


@dataclass(frozen=True)
class Done:
    """What is known of a file when its outputs are written."""

    text: str  # to print
    figures: Figures | None = None
    pictures: tuple[str, str] = ("", "")  # original and reconstruction as data URIs


def main() -> int:
    started = time.perf_counter()
    arguments = parse_arguments()
    if arguments.path:
        files = find(arguments.path, arguments.o, "images", is_photo)
    else:
        files = find(arguments.c, arguments.o, ".bin files", lambda p: p.suffix.lower() == ".bin")
    if not 0 < arguments.memory < 2**20:
        raise UsageError("--memory needs a number of GiB above 0")
    if arguments.c and arguments.report:
        raise UsageError("--report compares with the originals: it needs -path")
    make_folder(arguments.o)

    # TensorFlow takes seconds to load: only once the command line is known to be sound.
    load_tensorflow()
    from codec import Codec

    codec = Codec.load(arguments.r, int(arguments.memory * 2**30), arguments.effort)
    if arguments.verbose:
        print(f"start-up: {time.perf_counter() - started:.1f} s")
    if arguments.path:
        return compress(codec, files, arguments)
    return decompress(codec, files, arguments)


def find(path: Path, output: Path, kind: str, wanted: Callable[[Path], bool]) -> dict[Path, Path]:
    """Returns the input files at `path`, each with the stem of its outputs; a folder's outputs are not its inputs.

    Raises:
        CompressGANError: there is no such file or folder, or nothing wanted in it, or its name is not UTF-8.
    """
    if path.is_dir():
        return output_stems(inputs_under(path, output, kind, wanted), path, output)
    if not path.exists():
        raise CompressGANError(f"{path}: no such file or folder")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CompressGANError(f"{path}: its name is not UTF-8") from None
    return output_stems([path], path.parent, output)


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Puts the file's name before what goes wrong with it."""
    from tensorflow.errors import ResourceExhaustedError  # loaded by now

    try:
        yield
    except CompressGANError as error:
        raise CompressGANError(f"{file}: {error}") from None
    except OSError as error:
        raise CompressGANError(f"{file}: {os_reason(error)}") from None
    except (MemoryError, ResourceExhaustedError):
        raise CompressGANError(f"{file}: not enough memory; --memory sets what the networks may take") from None


def with_suffix(stem: Path, suffix: str) -> Path:
    """Returns the path of an output; stems may hold dots of their own."""
    return stem.with_name(f"{stem.name}{suffix}")


def compress(codec: Codec, files: dict[Path, Path], arguments: argparse.Namespace) -> int:
    """Compresses the photos, prints and writes their figures, and returns the exit code."""
    from html_report import REPORT, HtmlReport, data_uri
    from metrics import compare, mean_line
    from report import read_summary, write_comparison, write_summary

    root = arguments.path if arguments.path.is_dir() else arguments.path.parent
    names = {file: str(file.relative_to(root)) for file in files}
    suffixes = (".bin", f"_reconstructed.{SUFFIXES[arguments.format]}", "_comparison.png")
    noted = set()

    def read(file: Path) -> Job:
        def note(text: str) -> None:
            if text not in noted:
                noted.add(text)
                warn(f"{file}: {text} (said once)")

        job = Job(file, files[file])
        with job.timed("read"):
            job.photo = read_photo(file, note)
        check_size(with_suffix(job.stem, suffixes[1]), *job.photo.shape[:2])  # before the work rather than after it
        return job

    def work(job: Job) -> Job:
        size = job.photo.shape[:2]
        kept = with_suffix(job.stem, ".bin")
        if arguments.no_overwrite and os.path.exists(kept):
            with naming(kept):
                job.data = kept.read_bytes()
        else:
            with naming(job.file):
                with job.timed("encode"):
                    symbols = codec.symbols(job.photo)
                with job.timed("code"):
                    job.data = codec.to_bytes(symbols, *size, arguments.coder)
        with naming(kept):
            with job.timed("decode"):
                symbols, *decoded_size = codec.from_bytes(job.data)
            if tuple(decoded_size) != size:
                raise BitstreamError("not of this photo: its size differs")
            with job.timed("reconstruct"):
                job.reconstruction = codec.reconstruct(symbols, *size)
        return job

    def write(job: Job) -> Done:
        with naming(job.file):
            with job.timed("measure"):
                original_bytes = job.file.stat().st_size
                reconstruction = job.reconstruction
                figures = compare(
                    codec, job.photo, job.data, reconstruction, names[job.file], original_bytes, arguments.report
                )
            binary, picture, comparison = (with_suffix(job.stem, suffix) for suffix in suffixes)
            with job.timed("save"):
                wanted = missing(job.stem, suffixes, arguments)
                if binary in wanted:
                    with replacing(binary) as temporary:
                        temporary.write_bytes(job.data)
                if picture in wanted:
                    write_picture(picture, reconstruction)
                if comparison in wanted:
                    write_comparison(comparison, job.photo, reconstruction, figures)
            pictures = (data_uri(job.photo), data_uri(reconstruction)) if arguments.report else ("", "")
        return Done(f"{figures}{job.timings() if arguments.verbose else ''}", figures, pictures)

    before = read_summary(arguments.o) if arguments.no_overwrite else {}
    todo = [
        file
        for file, stem in files.items()
        if arguments.report or missing(stem, suffixes, arguments) or names[file] not in before
    ]
    done: dict[Path, Done] = {}
    try:
        run_all(todo, len(files), done, (read, 1), (work, 1), (write, 2))
    finally:
        # Also when the call is ended: what is written is not written in vain.
        rows = [done[file].figures if file in done else before.get(names[file]) for file in files]
        rows = [row for row in rows if row]
        if rows:
            write_summary(arguments.o, rows)
    if rows:
        print(mean_line(rows))
    if arguments.report and done:
        page = HtmlReport()
        for result in done.values():
            page.add(result.figures, *result.pictures)
        page.write(arguments.o / REPORT)
        print(f"report: {arguments.o / REPORT}")
    return finish(len(todo) - len(done), len(todo))


def decompress(codec: Codec, files: dict[Path, Path], arguments: argparse.Namespace) -> int:
    """Reconstructs photos from the .bin files, and returns the exit code."""
    picture = f"_reconstructed.{SUFFIXES[arguments.format]}"

    def work(file: Path) -> Job:
        job = Job(file, files[file])
        with naming(file):
            with job.timed("decode"):
                symbols, *size = codec.from_bytes(file.read_bytes())
            check_size(with_suffix(job.stem, picture), *size)
            with job.timed("reconstruct"):
                job.reconstruction = codec.reconstruct(symbols, *size)
        return job

    def write(job: Job) -> Done:
        target = with_suffix(job.stem, picture)
        with naming(job.file), job.timed("save"):
            write_picture(target, job.reconstruction)
        height, width = job.reconstruction.shape[:2]
        return Done(f"{target}: {width} x {height}{job.timings() if arguments.verbose else ''}")

    todo = [file for file, stem in files.items() if missing(stem, (picture,), arguments)]
    done: dict[Path, Done] = {}
    run_all(todo, len(files), done, (work, 1), (write, 2))
    return finish(len(todo) - len(done), len(todo))


def missing(stem: Path, suffixes: tuple[str, ...], arguments: argparse.Namespace) -> list[Path]:
    """Returns the outputs to write: all, or with `--no-overwrite` those that are not there."""
    paths = [with_suffix(stem, suffix) for suffix in suffixes]
    # Not Path.exists, which raises where a name is too long.
    return [path for path in paths if not (arguments.no_overwrite and os.path.exists(path))]


def run_all(todo: list[Path], total: int, done: dict[Path, Done], *stages: tuple[Callable, int]) -> None:
    """Sends files through the stages into `done`; prints what each ends in, or in one line what is wrong with it."""
    if len(todo) < total:
        print(f"{total - len(todo)} of {total} files are done already")
    with tqdm(total=len(todo), unit="file", disable=len(todo) <= 1 or not sys.stderr.isatty()) as progress:
        for file, future in overlapped(todo, *stages):
            try:
                done[file] = future.result()
                progress.write(done[file].text, file=sys.stdout)
                sys.stdout.flush()
            except CompressGANError as error:
                with progress.external_write_mode():
                    report(error)
            progress.update()


def finish(failed: int, total: int) -> int:
    """Says how many of several files failed, and returns the exit code."""
    if failed and total > 1:
        report(f"{failed} of {total} files failed")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
