"""Measures inference: start-up, the stages of one photo, one call for a folder against single calls, and memory.

python benchmarks/inference.py -path photos
python benchmarks/inference.py -path photos --large 0 0        # without the large photo
"""

from __future__ import annotations

import clone

# isort: split
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from compressgan.cli import run
from compressgan.errors import CompressGANError
from compressgan.images.files import files_under
from compressgan.images.reading import is_photo, read_photo
from compressgan.images.writing import write_picture
from compressgan.networks.loading import import_tensorflow
from config import PROJECT
from timing import REPEATS, fastest

SIZE = (768, 512)  # width and height of the photos, pixels
MEGAPIXELS = SIZE[0] * SIZE[1] / 1e6


def fitted(photos: list[Path], size: tuple[int, int], count: int, folder: Path) -> None:
    """Writes `count` photos of one size, cropped and scaled from the given ones."""
    folder.mkdir()
    for i in range(count):
        image = ImageOps.fit(Image.fromarray(read_photo(photos[i % len(photos)])), size, Image.Resampling.LANCZOS)
        write_picture(folder / f"{i:02}.png", np.asarray(image))


def command_line(*arguments: object) -> tuple[float, float, float]:
    """Runs inference.py in its own process, and returns its seconds, start-up seconds and peak memory in GiB."""
    command = [sys.executable, str(clone.ROOT / "src" / "inference.py"), *map(str, arguments), "--verbose"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise CompressGANError(f"{' '.join(command)}: failed")
    start_up = float(output.split("start-up: ")[1].split(" s")[0])
    return time.perf_counter() - start, start_up, usage.ru_maxrss / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of source photos")
    parser.add_argument("-r", metavar="DIR", type=Path, default=PROJECT.default_checkpoint, help="checkpoint")
    parser.add_argument("--count", type=int, default=40, help="number of photos in the folder; default: %(default)s")
    parser.add_argument(
        "--large", metavar=("W", "H"), type=int, nargs=2, default=(6000, 4000), help="its pixels; default: 6000 4000"
    )
    arguments = parser.parse_args()
    photos = [file for file in files_under(arguments.path) if is_photo(file)]
    if not photos:
        raise CompressGANError(f"{arguments.path}: no photos in this folder")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fitted(photos, SIZE, arguments.count, folder / "photos")
        measure_parts(arguments.r, folder)
        measure_folder(arguments.r, folder)
        if min(arguments.large):
            measure_large(photos, tuple(arguments.large), arguments.r, folder)
    return 0


def measure_parts(checkpoint: Path, folder: Path) -> None:
    """Prints the seconds that each stage takes for one photo."""
    file = folder / "photos" / "00.png"
    photo = read_photo(file)
    start = time.perf_counter()
    import_tensorflow()
    from compressgan.codec import Codec

    codec = Codec.load(checkpoint)
    codec.decompress(codec.compress(photo))
    print(f"start-up, including the networks' first run: {time.perf_counter() - start:.1f} s\n")

    symbols, data = codec.symbols(photo), codec.compress(photo)
    size = photo.shape[:2]
    encode = fastest(codec.latents, photo)
    parts = {
        "read": fastest(read_photo, file),
        "encode": encode,
        "refine": fastest(codec.symbols, photo) - encode,
        "code": fastest(codec.to_bytes, symbols, *size),
        "decode": fastest(codec.from_bytes, data),
        "reconstruct": fastest(codec.reconstruct, symbols, *size, codec.default_level),
        "save": fastest(write_picture, folder / "saved.png", photo),
    }
    print(f"| {SIZE[0]} x {SIZE[1]}, one photo | seconds | MP/s |\n|---|---:|---:|")
    for names in (*((name,) for name in parts), ("encode", "refine", "code"), ("decode", "reconstruct")):
        seconds = sum(parts[name] for name in names)
        print(f"| {' + '.join(names)} | {seconds:.3f} | {MEGAPIXELS / seconds:.1f} |")


def measure_folder(checkpoint: Path, folder: Path) -> None:
    """Prints the seconds of one call for a folder and of one call per photo, both without start-up."""
    files = sorted((folder / "photos").iterdir())
    started = time.perf_counter()
    subprocess.run([sys.executable, str(clone.ROOT / "src" / "inference.py"), "--help"], stdout=subprocess.DEVNULL)
    before = time.perf_counter() - started  # start-up before the command's own clock: interpreter, first imports
    calls = [command_line("-r", checkpoint, "-path", file, "-o", folder / "out") for file in files[:REPEATS]]
    alone = len(files) * sum(seconds - start_up - before for seconds, start_up, _ in calls) / len(calls)
    seconds, start_up, _ = command_line("-r", checkpoint, "-path", folder / "photos", "-o", folder / "out")
    together = seconds - start_up - before
    print(f"\n| {len(files)} photos, all outputs and figures, without start-up | seconds | MP/s |\n|---|---:|---:|")
    for name, seconds in ((f"one call per photo, mean of {len(calls)}", alone), ("one call for the folder", together)):
        print(f"| {name} | {seconds:.1f} | {len(files) * MEGAPIXELS / seconds:.2f} |")
    print(f"\nthe folder in one call is {alone / together:.2f} times as fast")


def measure_large(photos: list[Path], size: tuple[int, int], checkpoint: Path, folder: Path) -> None:
    fitted(photos, size, 1, folder / "large")
    made, back = folder / "made", folder / "back"
    print(f"\n| {size[0]} x {size[1]}, including start-up | seconds | peak memory, GiB |\n|---|---:|---:|")
    for name, *paths in (
        ("compress, measure, write", "-path", folder / "large", "-o", made),
        ("decompress", "-c", made, "-o", back),
    ):
        seconds, _, peak = command_line("-r", checkpoint, *paths)
        print(f"| {name} | {seconds:.1f} | {peak:.2f} |")


if __name__ == "__main__":
    run(main)
