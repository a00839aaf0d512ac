"""Resizes a folder of photos to one size for training, in the same sub-folders, as lossless PNG.

python src/preprocess.py -i photos -o resized                  # 256 x 256, middle of each photo
python src/preprocess.py -i photos -o resized --size 512 384   # width height
python src/preprocess.py -i photos -o resized --stretch        # whole photos, distorted to the size
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from settings import PREPROCESS_SIZE

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from errors import CompressGANError, UsageError, report, run
from files import inputs_under, make_folder, output_stems
from photo import is_photo, read_photo, write_picture


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", metavar="DIR", type=Path, required=True, help="folder of photos")
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="output folder; made if there is none")
    parser.add_argument(
        "--size", metavar=("W", "H"), type=int, nargs=2, default=PREPROCESS_SIZE, help="pixels; default: 256 256"
    )
    parser.add_argument("--stretch", action="store_true", help="stretch to the size instead of cropping the middle")
    return parser.parse_args()


def resize(photo: np.ndarray, size: tuple[int, int], stretch: bool) -> np.ndarray:
    """Resizes (H, W, 3) uint8 to size (width, height) with a Lanczos filter, cropping the middle or stretching."""
    image = Image.fromarray(photo)
    if stretch:
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(ImageOps.fit(image, size, Image.Resampling.LANCZOS))


def main() -> int:
    arguments = parse_arguments()
    size = tuple(arguments.size)
    if min(size) < 1:
        raise UsageError("--size needs a width and a height of at least 1")
    if not arguments.i.is_dir():
        raise CompressGANError(f"{arguments.i}: no such folder")
    if arguments.o.resolve() in arguments.i.resolve().parents:
        raise UsageError(f"{arguments.o}: holds the input folder, so that originals could be written over")
    files = inputs_under(arguments.i, arguments.o, "images", is_photo)
    make_folder(arguments.o)

    def work(job: tuple[Path, Path]) -> bool:
        file, stem = job
        try:
            write_picture(stem.with_name(f"{stem.name}.png"), resize(read_photo(file), size, arguments.stretch))
        except CompressGANError as error:
            report(error)
            return False
        except MemoryError:
            report(f"{file}: not enough memory to resize it")
            return False
        return True

    jobs = output_stems(files, arguments.i, arguments.o).items()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = sum(tqdm(pool.map(work, jobs), total=len(jobs), unit="photo", disable=None))
    print(f"{arguments.o}: {done} photos of {size[0]} x {size[1]}")
    return 0 if done == len(jobs) else 1


if __name__ == "__main__":
    run(main)
