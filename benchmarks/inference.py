"""Measures inference: seconds and memory of whole calls, start-up included, then the stages of one photo.

python benchmarks/inference.py -path photos
python benchmarks/inference.py -path photos --before ../earlier    # beside another clone of the project
python benchmarks/inference.py -path photos --large 0 0        # without the large photo
"""

from __future__ import annotations

import clone

# isort: split
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compressgan.cli import run
from compressgan.cli.options import make_parser
from compressgan.codec import Codec
from compressgan.errors import CompressGANError
from compressgan.images.files import inputs_under
from compressgan.images.reading import is_photo, read_photo
from compressgan.images.writing import write_picture
from config import PROJECT
from photos import fitted
from timing import REPEATS, fastest

SIZE = (768, 512)  # width and height of the photos, pixels
MEGAPIXELS = SIZE[0] * SIZE[1] / 1e6


def command_line(project: Path, *arguments: object) -> tuple[float, float]:
    """Runs a clone's inference.py in its own process, and returns its seconds and its peak memory in GiB."""
    command = [sys.executable, str(project / "src" / "inference.py"), *map(str, arguments)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise CompressGANError(f"{' '.join(command)}: failed")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of source photos")
    parser.add_argument("-r", metavar="DIR", type=Path, help="checkpoint; default: each clone's shipped model")
    parser.add_argument("--before", metavar="CLONE", type=Path, help="another clone to compare with")
    parser.add_argument("--count", type=int, default=24, help="number of photos in the folder; default: %(default)s")
    parser.add_argument(
        "--large", metavar=("W", "H"), type=int, nargs=2, default=(6000, 4000), help="its pixels; default: 6000 4000"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = inputs_under(arguments.path, folder, "photos", is_photo)
        fitted(photos, SIZE, arguments.count, folder / "photos")
        large = tuple(arguments.large)
        if min(large):
            fitted(photos, large, 1, folder / "large")
        model = ("-r", arguments.r) if arguments.r else ()
        before = whole_calls(model, folder, arguments.before, large) if arguments.before else {}
        # First, because a process's peak memory is at least that of the process that started it.
        print_calls(whole_calls(model, folder, clone.ROOT, large), before)
        measure_parts(arguments.r or PROJECT.default_checkpoint, folder)
    return 0


def measure_parts(checkpoint: Path, folder: Path) -> None:
    """Prints the seconds that each stage takes for one photo."""
    file = folder / "photos" / "00.png"
    photo = read_photo(file)
    start = time.perf_counter()
    codec = Codec.load(checkpoint)
    codec.decompress(codec.compress(photo))
    print(f"\nloading, and the networks' first run: {time.perf_counter() - start:.1f} s\n")

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


def whole_calls(model: tuple[object, ...], folder: Path, project: Path, large: tuple[int, int]) -> dict[str, tuple]:
    """Returns seconds and peak memory of whole calls of a clone of the project, by what they do."""
    photos, one = folder / "photos", folder / "photos" / "00.png"
    out = Path(tempfile.mkdtemp(dir=folder))
    knows = subprocess.run(
        [sys.executable, project / "src" / "inference.py", "--help"], capture_output=True, text=True, check=True
    ).stdout
    only = ("--bin-only",) if "--bin-only" in knows else ()  # earlier versions always made all outputs

    def best(*arguments: object) -> tuple[float, float]:
        return min(command_line(project, *model, *arguments) for _ in range(REPEATS))

    calls = {
        "compress one photo, all outputs": best("-path", one, "-o", out),
        "compress one photo, `--bin-only`": best("-path", one, "-o", out, *only),
        "the same, `--effort 0`": best("-path", one, "-o", out, *only, "--effort", 0),
        "reconstruct one photo": best("-c", out / "00.bin", "-o", out),
    }
    count = len(list(photos.iterdir()))
    calls[f"compress {count} photos, all outputs"] = command_line(project, *model, "-path", photos, "-o", out)
    if min(large):
        width, height = large
        name = f"one photo of {width} x {height}"
        made = ("-path", folder / "large", "-o", out / "large")
        calls[f"compress {name}, all outputs"] = command_line(project, *model, *made)
        calls[f"reconstruct {name}"] = command_line(project, *model, "-c", out / "large", "-o", out)
    return calls


def print_calls(calls: dict[str, tuple], before: dict[str, tuple]) -> None:
    """Prints a table of whole calls, beside those of another clone if there are any."""
    columns = ["seconds", "GiB"] + (["seconds before", "GiB before", "times as fast"] if before else [])
    print(f"| whole call | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name, (seconds, memory) in calls.items():
        cells = [f"{seconds:.1f}", f"{memory:.2f}"]
        if before:
            earlier, more = before[name]
            cells += [f"{earlier:.1f}", f"{more:.2f}", f"{earlier / seconds:.1f}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    run(main)
