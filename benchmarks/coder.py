"""Measures the entropy coders on the latents of a folder of photos. Prints tables and, with -o, writes them as JSON.

python benchmarks/coder.py -path photos -o output/coder.json
"""

from __future__ import annotations

import clone  # noqa: F401

# isort: split
from pathlib import Path

import numpy as np

from compressgan.cli import run
from compressgan.cli.options import make_parser
from compressgan.codec import Codec
from compressgan.coding.arithmetic_coder import CODERS, decode, encode
from compressgan.errors import CompressGANError
from compressgan.geometry import STRIDE
from compressgan.images.files import files_under, write_json
from compressgan.images.reading import is_photo, read_photo
from config import PROJECT
from timing import fastest


def order0_entropy(symbols: np.ndarray, centers: int) -> float:
    """Returns the static order-0 entropy of symbols (h, w, C) in bytes.

    Each channel has its own table of probabilities, whose size is not counted.
    """
    bits = 0.0
    for channel in symbols.reshape(-1, symbols.shape[-1]).T:
        share = np.bincount(channel, minlength=centers) / channel.size
        share = share[share > 0]
        bits -= channel.size * float(share @ np.log2(share))
    return bits / 8


def tile(symbols: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Tiles real latents into an array (height, width, C)."""
    rows, count = [], 0
    while sum(row.shape[0] for row in rows) < height:
        row = []
        while sum(part.shape[1] for part in row) < width:
            row.append(symbols[count % len(symbols)])
            count += 1
        lowest = min(part.shape[0] for part in row)
        rows.append(np.concatenate([part[:lowest] for part in row], axis=1)[:, :width])
    return np.concatenate(rows)[:height]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of photos")
    parser.add_argument("-r", metavar="DIR", type=Path, default=PROJECT.default_checkpoint, help="checkpoint")
    parser.add_argument("-o", metavar="FILE", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    codec = Codec.load(arguments.r)
    centers, prior = len(codec.centers), codec.prior()
    files = [file for file in files_under(arguments.path) if is_photo(file)]
    if not files:
        raise CompressGANError(f"{arguments.path}: no photos in this folder")
    latents, sides = [], []
    for file in files:
        photo = read_photo(file)
        latents.append(codec.symbols(photo))
        sides.append(photo.shape[:2])

    pixels = sum(height * width for height, width in sides)
    entropy = sum(order0_entropy(symbols, centers) for symbols in latents)
    bits = (centers - 1).bit_length()
    packed = sum(-(-symbols.size * bits // 8) for symbols in latents)
    sizes = {
        "bits as text, as in the original": 8 * packed,
        f"packed, {bits} bits per symbol": packed,
        "static order-0 entropy per channel": entropy,
    }
    for coder in reversed(CODERS):
        wholes = [codec.to_bytes(symbols, *own, coder=coder) for symbols, own in zip(latents, sides, strict=True)]
        for symbols, data in zip(latents, wholes, strict=True):
            assert (codec.from_bytes(data)[0] == symbols).all()
        sizes[f"{coder}, whole files"] = sum(map(len, wholes))

    rows = [{"code": name, "bytes": size / len(latents), "bpp": 8 * size / pixels} for name, size in sizes.items()]
    print(f"{len(latents)} photos, {sum(s.size for s in latents):,} symbols\n")
    print(f"| {'code':36} | bytes per photo |    bpp | against order-0 entropy |")
    print(f"|{'-' * 38}|----------------:|-------:|------------------------:|")
    for row in rows:
        change = row["bytes"] * len(latents) / entropy - 1
        print(f"| {row['code']:36} | {row['bytes']:15,.0f} | {row['bpp']:.4f} | {change:+23.1%} |")

    speeds = []
    print(f"\n| {'coder':8} | latents of   | encode, ms | decode, ms | M symbols/s each way |")
    print(f"|{'-' * 10}|--------------|-----------:|-----------:|---------------------:|")
    for height, width in ((1024, 1536), (256, 256)):
        symbols = tile(latents, height // STRIDE, width // STRIDE)
        for coder in CODERS:
            used, payload = encode(symbols, centers, prior, coder)
            encoding = fastest(lambda s=symbols, c=coder: encode(s, centers, prior, c))
            decoding = fastest(lambda s=symbols, p=payload, u=used: decode(p, s.shape, centers, prior, u))
            speed = [symbols.size / seconds / 1e6 for seconds in (encoding, decoding)]
            speeds.append(
                {"coder": coder, "width": width, "height": height, "encode_s": encoding, "decode_s": decoding}
            )
            print(
                f"| {coder:8} | {width:4} x {height:<5} | {1e3 * encoding:10.1f} | {1e3 * decoding:10.1f} "
                f"| {speed[0]:11.2f}, {speed[1]:.2f} |"
            )
    if arguments.o:
        write_json(arguments.o, {"photos": len(latents), "sizes": rows, "speeds": speeds})
    return 0


if __name__ == "__main__":
    run(main)
