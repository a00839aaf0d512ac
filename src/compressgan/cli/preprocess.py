"""Resizes a folder of photos to one size for training, as lossless PNG files in the same sub-folders.

python src/preprocess.py -i photos -o resized                  # 256 x 256, the middle of each photo
python src/preprocess.py -i photos -o resized --size 512 384   # width height
python src/preprocess.py -i photos -o resized --stretch        # whole photos, stretched to the size
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from compressgan.cli.jobs import note_once
from compressgan.cli.options import add_output_option, make_parser
from compressgan.cli.originals import is_original
from compressgan.cli.project import Project
from compressgan.errors import CompressGANError, UsageError, logger
from compressgan.geometry import MAX_SIDE, size_fits
from compressgan.images.files import inputs_under, make_folder, output_stems, real
from compressgan.images.pixel_limit import pixel_limit_lifted
from compressgan.images.reading import read_photo
from compressgan.images.writing import write_picture
from compressgan.runtime import available_cpus


def main(project: Project) -> int:
    width, height = project.preprocess_size
    parser = make_parser(__doc__)
    parser.add_argument("-i", metavar="DIR", type=Path, required=True, help="folder of photos")
    add_output_option(parser)
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
        raise UsageError(
            f"--size: {size[0]} x {size[1]} is not possible; sides must be from 1 to {MAX_SIDE}, with at most 2^28 "
            "pixels in all"
        )
    if not folder.is_dir():
        raise CompressGANError(f"{folder}: no such folder")
    if real(output) in real(folder).parents:
        raise UsageError(f"{output}: contains the input folder, so originals could be overwritten")
    files = inputs_under(folder, output, "images", is_original)
    make_folder(output)
    jobs = {file: stem.with_name(f"{stem.name}.png") for file, stem in output_stems(files, folder, output).items()}
    assert_replaceable(jobs.values(), size)

    def work(job: tuple[Path, Path]) -> bool:
        file, target = job
        try:
            write_picture(target, resize(read_photo(file, partial(note_once, file)), size, stretch))
        except CompressGANError as error:
            logger.error(error)
            return False
        except MemoryError:
            logger.error(f"{file}: not enough memory to resize it")
            return False
        return True

    with ThreadPoolExecutor(available_cpus()) as pool:
        done = sum(tqdm(pool.map(work, jobs.items()), total=len(jobs), unit="photo", disable=None))
    print(f"{output}: {done} photos of {size[0]} x {size[1]}")
    return 0 if done == len(jobs) else 1


def assert_replaceable(targets: Iterable[Path], size: tuple[int, int]) -> None:
    """Checks that those of the outputs that exist have the size (width, height), as if an earlier call had made them.

    Raises:
        UsageError: one has not, so it may be a photo of the user's own.
    """
    for target in targets:
        if os.path.exists(target):
            try:
                with pixel_limit_lifted, Image.open(target) as image:
                    own = image.size == size
            except (OSError, SyntaxError, ValueError):
                own = False
            if not own:
                raise UsageError(
                    f"{target}: would be overwritten, but is not a {size[0]} x {size[1]} picture; move it, or choose "
                    "another output folder"
                )


def resize(photo: np.ndarray, size: tuple[int, int], stretch: bool) -> np.ndarray:
    """Resizes (H, W, 3) uint8 to size (width, height) with a Lanczos filter, cropping the middle or stretching."""
    image = Image.fromarray(photo)
    if stretch:
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(ImageOps.fit(image, size, Image.Resampling.LANCZOS))
