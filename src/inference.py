"""Compresses photos to .bin files, and reconstructs photos from .bin files.

python src/inference.py -path photo.jpg -o output      # photo.bin, photo_reconstructed.png, photo_comparison.png
python src/inference.py -path photos -o output         # a folder and what is under it; also summary.csv
python src/inference.py -c output/photo.bin -o out2    # the reconstruction, from the .bin alone
python src/inference.py -c output -o out2              # every .bin of a folder
python src/inference.py -r checkpoints/mine ...        # with another model than the shipped one
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from settings import DEFAULT_CHECKPOINT, load_tensorflow

import numpy as np
from tqdm import tqdm

from arithmetic_coder import CODERS
from bitstream import BitstreamError
from errors import CompressGANError, UsageError, os_reason, report, run, warn
from files import inputs_under, make_folder, output_stems, replacing
from photo import is_photo, read_photo, write_png
from pipeline import overlapped


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-path", metavar="PHOTO|DIR", type=Path, help="photo or folder of photos to compress")
    what.add_argument("-c", metavar="BIN|DIR", type=Path, help=".bin file or folder of .bin files to reconstruct")
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="output folder; made if there is none")
    parser.add_argument("-r", metavar="DIR", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint; default: shipped")
    parser.add_argument(
        "--memory", metavar="GIB", type=float, default=1.0, help="what the networks may take; default: %(default)s GiB"
    )
    parser.add_argument("--coder", choices=CODERS, default="context", help="entropy coder, recorded in the .bin")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    if arguments.path:
        jobs = find(arguments.path, arguments.o, "images", is_photo)
    else:
        jobs = find(arguments.c, arguments.o, ".bin files", lambda p: p.suffix.lower() == ".bin")
    if not 0 < arguments.memory < 2**20:
        raise UsageError("--memory needs a number of GiB above 0")
    make_folder(arguments.o)

    # TensorFlow takes seconds to load: only once the command line is known to be sound.
    load_tensorflow()
    from codec import Codec

    codec = Codec.load(arguments.r, int(arguments.memory * 2**30))
    if arguments.path:
        return compress(codec, jobs, arguments)
    return decompress(codec, jobs)


def find(path: Path, output: Path, kind: str, wanted: Callable[[Path], bool]) -> dict[Path, Path]:
    """Returns the input files at `path`, each with the stem of its outputs; a folder's outputs are not its inputs.

    Raises:
        CompressGANError: there is no such file or folder, or nothing wanted in it.
    """
    if path.is_dir():
        return output_stems(inputs_under(path, output, kind, wanted), path, output)
    if not path.exists():
        raise CompressGANError(f"{path}: no such file or folder")
    return output_stems([path], path.parent, output)


def compress(codec, jobs: dict[Path, Path], arguments: argparse.Namespace) -> int:
    """Compresses the photos, prints and writes their figures, and returns the exit code."""
    from metrics import Figures, compare, mean_line
    from report import write_comparison, write_summary

    root = arguments.path if arguments.path.is_dir() else arguments.path.parent
    noted = set()

    def read(file: Path) -> tuple[Path, np.ndarray]:
        def note(text: str) -> None:
            if text not in noted:
                noted.add(text)
                warn(f"{file}: {text} (said once)")

        return file, read_photo(file, note)

    def work(job: tuple[Path, np.ndarray]) -> tuple[Path, np.ndarray, bytes, np.ndarray]:
        file, photo = job
        data = codec.compress(photo, arguments.coder)
        return file, photo, data, codec.decompress(data)

    def write(job: tuple[Path, np.ndarray, bytes, np.ndarray]) -> Figures:
        file, photo, data, reconstruction = job
        figures = compare(codec, photo, data, reconstruction, str(file.relative_to(root)))
        stem = jobs[file]
        with replacing(stem.with_name(f"{stem.name}.bin")) as temporary:
            temporary.write_bytes(data)
        write_png(stem.with_name(f"{stem.name}_reconstructed.png"), reconstruction)
        write_comparison(stem.with_name(f"{stem.name}_comparison.png"), photo, reconstruction, figures)
        return figures

    rows = run_all(jobs, (read, 1), (work, 1), (write, 2))
    if rows:
        write_summary(arguments.o / "summary.csv", rows)
        print(mean_line(rows))
    return finish(len(jobs) - len(rows), len(jobs))


def run_all(jobs: dict[Path, Path], *stages: tuple[Callable, int]) -> list:
    """Sends the files through the stages; prints each result, or in one line what is wrong with the file."""
    results = []
    with tqdm(total=len(jobs), unit="file", disable=len(jobs) == 1 or not sys.stderr.isatty()) as progress:
        for _, future in overlapped(jobs, *stages):
            try:
                results.append(future.result())
                progress.write(str(results[-1]), file=sys.stdout)
                sys.stdout.flush()
            except CompressGANError as error:
                with progress.external_write_mode():
                    report(error)
            progress.update()
    return results


def decompress(codec, jobs: dict[Path, Path]) -> int:
    """Reconstructs photos from the .bin files, and returns the exit code."""

    def work(file: Path) -> tuple[Path, np.ndarray]:
        try:
            return file, codec.decompress(file.read_bytes())
        except BitstreamError as error:
            raise CompressGANError(f"{file}: {error}") from None
        except OSError as error:
            raise CompressGANError(f"{file}: {os_reason(error)}") from None

    def write(job: tuple[Path, np.ndarray]) -> str:
        file, photo = job
        target = jobs[file].with_name(f"{jobs[file].name}_reconstructed.png")
        write_png(target, photo)
        return f"{target}: {photo.shape[1]} x {photo.shape[0]}"

    done = run_all(jobs, (work, 1), (write, 2))
    return finish(len(jobs) - len(done), len(jobs))


def finish(failed: int, total: int) -> int:
    """Says how many of several files failed, and returns the exit code."""
    if failed and total > 1:
        report(f"{failed} of {total} files failed")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
