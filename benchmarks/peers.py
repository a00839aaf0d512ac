"""Times this codec beside others: one photo of 768 x 512, two threads, each codec in a process of its own.

python benchmarks/peers.py -path PHOTO
python benchmarks/peers.py -path PHOTO --compressai OTHER/bin/python

The second form adds networks of CompressAI, from an environment of their own. Their weights are random, which changes
neither the arithmetic nor the symbols' number, but the bytes mean nothing:

python3 -m venv OTHER && OTHER/bin/pip install compressai

`first` is the first encoding and decoding with all imports and loading, the others are the fastest of five.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from timing import fastest

# The parent process stays small: a process's peak memory is at least that of the process that started it.
ROOT = Path(__file__).resolve().parent.parent
SIZE = (768, 512)
THREADS = 2
OURS = {"CompressGAN": 4, "CompressGAN, --effort 0": 0}  # steps of refining
OTHERS = {"AVIF": 12, "HEIC": 5, "JPEG XL": 5, "WebP": 1, "JPEG 2000": 90, "JPEG": 5}  # settings, about 0.1 bpp
COMPRESSAI = ("bmshj2018_hyperprior", "mbt2018", "cheng2020_attn")  # functions of compressai.zoo
COLUMNS = ("bytes", "first, s", "encode, s", "decode, s", "peak, MB", "installed, MB")
Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]  # encode, decode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-path", metavar="PHOTO", type=Path, required=True)
    parser.add_argument("--compressai", metavar="PYTHON", help="the Python of an environment with compressai")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.path)))
        return 0
    print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        fit = (
            f"from PIL import Image, ImageOps; ImageOps.fit(Image.open({str(arguments.path)!r}).convert('RGB'), {SIZE})"
        )
        subprocess.run([sys.executable, "-c", f"{fit}.save({str(photo)!r})"], check=True)
        pythons = dict.fromkeys((*OURS, *OTHERS), sys.executable)
        pythons |= {name: arguments.compressai for name in COMPRESSAI if arguments.compressai}
        for name, python in pythons.items():
            command = [python, __file__, "-path", str(photo), "--one", name]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                print(f"| {name} | {(done.stderr.strip().splitlines() or ['failed'])[-1]} |")
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            print(f"| {name} | {' | '.join(row[column] for column in COLUMNS)} |", flush=True)
    return 0


def measure(name: str, photo: Path) -> dict[str, str]:
    """Returns the figures of one codec in this process, as text, by column."""
    start = time.perf_counter()
    encode, decode = by_compressai(name) if name in COMPRESSAI else by_this_project(name)
    data = encode(photo)
    decode(data)
    first = time.perf_counter() - start
    seconds = [fastest(encode, photo), fastest(decode, data)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    size = len(data) if isinstance(data, bytes) else 0
    values = (f"{size:,}" if size else "", f"{first:.1f}", *(f"{s:.3f}" for s in seconds), f"{peak:,.0f}")
    return dict(zip(COLUMNS, (*values, f"{installed(name):,.0f}"), strict=True))


def by_this_project(name: str) -> Pair:
    """Returns the functions of this codec, or of one that Pillow has."""
    import clone  # noqa: F401
    from compressgan.codec import Codec
    from compressgan.evaluation.other_codecs import available_codecs
    from compressgan.images.reading import read_photo, register_heic

    if name in OURS:
        codec = Codec.load(effort=OURS[name], threads=THREADS)
        return codec.compress, codec.decompress
    register_heic()
    other = next((codec for codec in available_codecs()[0] if codec.name == name), None)
    if other is None:
        raise SystemExit(f"{name} is not installed")
    return lambda path: other.encode(read_photo(path), OTHERS[name]), other.decode


def by_compressai(name: str) -> Pair:
    """Returns the functions of a network of CompressAI, at its lowest quality."""
    import compressai.zoo
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    network = getattr(compressai.zoo, name)(quality=1, pretrained=False).eval()
    network.update()

    def encode(path: Path) -> dict:
        pixels = np.asarray(Image.open(path), np.float32).transpose(2, 0, 1)[np.newaxis] / 255
        with torch.inference_mode():
            return network.compress(torch.from_numpy(pixels.copy()))

    def decode(data: dict) -> object:
        with torch.inference_mode():
            return network.decompress(data["strings"], data["shape"])["x_hat"].numpy()

    return encode, decode


def installed(name: str) -> float:
    """Returns the megabytes that a codec's packages take, with all that they need and, for ours, the model."""
    if name in COMPRESSAI:
        return sum(map(package_bytes, needed({"compressai"}))) / 1e6
    if name in OTHERS:
        from compressgan.evaluation.other_codecs import PLUGINS

        return sum(map(package_bytes, needed({"pillow", PLUGINS.get(name, "pillow")}))) / 1e6
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    own = [*(ROOT / "src" / "compressgan").rglob("*.py"), *(ROOT / "checkpoints" / "default").glob("*.*")]
    packages = needed({requirement_name(line) for line in declared})
    return (sum(map(package_bytes, packages)) + sum(file.stat().st_size for file in own)) / 1e6


def needed(names: set[str]) -> set[str]:
    """Returns packages and all that they need, without extras."""
    found: set[str] = set()
    while names:
        name = names.pop()
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:  # needed on other systems only
            continue
        found.add(name)
        names |= {requirement_name(line) for line in requires if "extra ==" not in line} - found
    return found


def package_bytes(name: str) -> int:
    files = (Path(str(file.locate())) for file in distribution(name).files or [])
    return sum(file.stat().st_size for file in files if file.is_file())


def requirement_name(line: str) -> str:
    return re.match(r"[\w.-]+", line)[0].lower()


if __name__ == "__main__":
    sys.exit(main())
