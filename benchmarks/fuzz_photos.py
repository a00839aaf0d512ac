"""Compresses random photos in all formats: whole, cut off, and altered. Each must be read right or get one line.

A whole file must have the pixels that were written. A damaged one may be read, since not every format has checksums, or
is refused. The command must name each file that it refuses in one line, compress all others, and print nothing else.

python benchmarks/fuzz_photos.py --files 200
"""

from __future__ import annotations

import clone

# isort: split
import argparse
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from compressgan.cli import run
from compressgan.cli.options import make_parser
from compressgan.errors import CompressGANError
from compressgan.images.reading import read_photo

ORIENTATION = 0x0112  # EXIF tag
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}


class Kind(NamedTuple):
    """A way to write a photo.

    Attributes:
        suffix: of the file; Pillow chooses the format by it.
        modes: Pillow's names of the pixels that the format can hold.
        options: Pillow's, for writing.
        tolerance: largest mean difference of the 8-bit values that are read.
        turned: whether Pillow writes EXIF data.
    """

    suffix: str
    modes: tuple[str, ...]
    options: dict[str, object] = {}  # noqa: RUF012
    tolerance: float = 0.0
    turned: bool = False


KINDS = (
    Kind("jpg", ("RGB", "L"), {"quality": 95}, 4, turned=True),
    Kind("jpg", ("RGB", "L"), {"quality": 95, "progressive": True}, 4, turned=True),
    Kind("png", ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"), turned=True),
    Kind("tif", ("RGB", "RGBA", "L", "P", "1", "I;16"), turned=True),
    Kind("tif", ("RGB", "RGBA", "L"), {"compression": "tiff_lzw"}, turned=True),
    Kind("tif", ("RGB", "RGBA", "L"), {"compression": "tiff_deflate"}, turned=True),
    Kind("tif", ("RGB", "L"), {"compression": "packbits"}, turned=True),
    Kind("webp", ("RGB", "RGBA"), {"lossless": True, "exact": True}, turned=True),
    Kind("webp", ("RGB",), {"quality": 95}, 4, turned=True),
    Kind("avif", ("RGB",), {"quality": 95}, 4),
    Kind("jp2", ("RGB", "L")),
    Kind("gif", ("P", "L")),
    Kind("bmp", ("RGB", "L", "P", "1")),
    Kind("ppm", ("RGB",)),
    Kind("tga", ("RGB", "RGBA", "L")),
    Kind("ico", ("RGBA",), {"bitmap_format": "bmp"}),  # Pillow writes masks of other modes with short rows
)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--files", type=int, default=200, help="number of files to try; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-r", metavar="DIR", type=Path, help="checkpoint; default: the one that is shipped")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "photos").mkdir()
        refused = set()
        damaged = 0
        for i in range(arguments.files):
            kind = KINDS[i % len(KINDS)]
            data, expected = written(kind, rng)
            damage = rng.choice((whole, cut_off, altered))
            path = folder / "photos" / f"{i:04}-{damage.__name__}.{kind.suffix}"
            path.write_bytes(damage(data, rng))
            damaged += damage is not whole
            if is_refused(path, expected if damage is whole else None, kind.tolerance):
                refused.add(path.name)
        check_command(folder, refused, arguments)
    intact = arguments.files - damaged
    print(f"{arguments.files} files: {intact} whole, all right; {damaged} damaged, {len(refused)} of them refused")
    return 0


def written(kind: Kind, rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """Returns the file of a random photo, and its pixels as they must be read."""
    height, width = rng.integers(16, 97, 2)
    corners = rng.integers(0, 256, (2, 2, 4)).astype(np.uint8)
    image = Image.fromarray(corners, "RGBA").resize((int(width), int(height)), Image.Resampling.BILINEAR)
    mode = str(rng.choice(kind.modes))
    if mode == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16)
        image = Image.fromarray(257 * grey)
        pixels = np.repeat(grey[..., np.newaxis], 3, axis=2)
    else:
        image = image.convert(mode) if mode in ("RGBA", "LA") else image.convert("RGB").convert(mode)
        pixels = on_white(image)
    options = dict(kind.options)
    if kind.suffix == "ico":
        options["sizes"] = [image.size]
    if kind.turned:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation = int(rng.integers(1, 9))
        options["exif"], pixels = exif, TURNS[orientation](pixels)
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[f".{kind.suffix}"], **options)
    return file.getvalue(), pixels


def on_white(image: Image.Image) -> np.ndarray:
    """Returns an image's pixels (H, W, 3) uint8 on white."""
    if image.mode not in ("RGBA", "LA"):
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA")).astype(float)
    opacity = pixels[..., 3:] / 255
    return np.rint(pixels[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)


def whole(data: bytes, rng: np.random.Generator) -> bytes:
    return data


def cut_off(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data))]


def altered(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place, length = rng.integers(0, len(data)), rng.integers(1, 65)
        changed[place : place + length] = rng.bytes(length)
    return bytes(changed)


def is_refused(path: Path, expected: np.ndarray | None, tolerance: float) -> bool:
    """Returns whether a file is refused, in one line, and checks the pixels of one that must not be."""
    try:
        found = read_photo(path)
    except CompressGANError as error:
        assert expected is None, f"whole, but refused: {error}"
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error), repr(str(error))
        return True
    assert found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8, path
    if expected is not None:
        assert found.shape == expected.shape, f"{path}: {found.shape}, not {expected.shape}"
        difference = np.abs(found.astype(int) - expected)
        # Rounding may differ by 1 where transparency is put on white.
        assert difference.mean() <= tolerance or difference.max() <= 1, f"{path}: off by {difference.mean():.1f}"
    return False


def check_command(folder: Path, refused: set[str], arguments: argparse.Namespace) -> None:
    """Checks that the command names each refused file in one line, compresses all others, and says nothing else."""
    photos, out = folder / "photos", folder / "out"
    call = [sys.executable, clone.ROOT / "src" / "inference.py", "-path", photos, "-o", out, "--bin-only"]
    call += ["--effort", "0"] + (["-r", arguments.r] if arguments.r else [])
    result = subprocess.run(call, capture_output=True, text=True)
    assert result.returncode == (1 if refused else 0), result.stderr
    said = result.stderr.splitlines()
    if refused:
        assert said.pop() == f"error: {len(refused)} of {arguments.files} files failed", result.stderr
    lines = {line: re.fullmatch(rf"(error|warning): {photos}/([^:]+): .+", line) for line in said}
    assert all(lines.values()), [line for line, match in lines.items() if not match]
    errors = [match[2] for match in lines.values() if match[1] == "error"]
    assert sorted(errors) == sorted(refused), sorted(set(errors) ^ refused)
    assert len(list(out.glob("*.bin"))) == arguments.files - len(refused)


if __name__ == "__main__":
    run(main)
