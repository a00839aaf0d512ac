"""Resizes a folder of photos to one size for training, as lossless PNG files in the same sub-folders.

python src/preprocess.py -i photos -o resized                  # 256 x 256, the middle of each photo
python src/preprocess.py -i photos -o resized --size 512 384   # width height
python src/preprocess.py -i photos -o resized --stretch        # whole photos, stretched to the size
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from compressgan.cli.jobs import note_once
from compressgan.cli.options import make_parser
from compressgan.cli.originals import is_original
from compressgan.cli.project import Project
from compressgan.errors import CompressGANError, UsageError, logger
from compressgan.geometry import MAX_SIDE, size_fits
from compressgan.images.files import inputs_under, make_folder, output_stems
from compressgan.images.reading import read_photo
from compressgan.images.writing import write_picture


def main(project: Project) -> int:
    width, height = project.preprocess_size
    parser = make_parser(__doc__)
    parser.add_argument("-i", metavar="DIR", type=Path, required=True, help="folder of photos")
    parser.add_argument(
        "-o", "--output", dest="o", metavar="DIR", type=Path, required=True, help="output folder; created if missing"
    )
    parser.add_argument(
        "--size",
        metavar=("W", "H"),
        type=int,
        nargs=2,
        default=(width, height),
        help=f"pixels; default: {width} {height}",
    )
    parser.add_argument("--stretch", action="store_true", help="stretch to the size instead of cropping")
    arguments = parser.parse_args()
    return preprocess(arguments.i, arguments.o, tuple(arguments.size), arguments.stretch)


def preprocess(folder: Path, output: Path, size: tuple[int, int], stretch: bool) -> int:
    """Resizes all photos under a folder to size (width, height), and returns the exit code."""
    if not size_fits(*size):
        raise UsageError(f"--size: {size[0]} x {size[1]} is not possible; sides are from 1 to {MAX_SIDE}")
    if not folder.is_dir():
        raise CompressGANError(f"{folder}: no such folder")
    if output.resolve() in folder.resolve().parents:
        raise UsageError(f"{output}: contains the input folder, so originals could be overwritten")
    files = inputs_under(folder, output, "images", is_original)
    make_folder(output)

    def work(job: tuple[Path, Path]) -> bool:
        file, stem = job
        try:
            write_picture(
                stem.with_name(f"{stem.name}.png"), resize(read_photo(file, partial(note_once, file)), size, stretch)
            )
        except CompressGANError as error:
            logger.error(error)
            return False
        except MemoryError:
            logger.error(f"{file}: not enough memory to resize it")
            return False
        return True

    jobs = output_stems(files, folder, output).items()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = sum(tqdm(pool.map(work, jobs), total=len(jobs), unit="photo", disable=None))
    print(f"{output}: {done} photos of {size[0]} x {size[1]}")
    return 0 if done == len(jobs) else 1


def resize(photo: np.ndarray, size: tuple[int, int], stretch: bool) -> np.ndarray:
    """Resizes (H, W, 3) uint8 to size (width, height) with a Lanczos filter, cropping the middle or stretching."""
    image = Image.fromarray(photo)
    if stretch:
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(ImageOps.fit(image, size, Image.Resampling.LANCZOS))
