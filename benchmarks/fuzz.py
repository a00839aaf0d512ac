"""Decodes mutated and random `.bin` files. Each must either decode to valid symbols or raise `BitstreamError`.

python benchmarks/fuzz.py --files 20000
"""

from __future__ import annotations

import clone  # noqa: F401

# isort: split
import time
import zlib

import numpy as np

from compressgan.cli import run
from compressgan.cli.options import make_parser
from compressgan.coding.arithmetic_coder import CODERS
from compressgan.coding.bitstream import BitstreamError
from compressgan.networks.loading import import_tensorflow
from config import PROJECT

SECONDS, SECONDS_A_FRONT, SECONDS_A_SYMBOL = 2.0, 1e-3, 5e-6  # time allowed for the size that a file claims


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns a copy with flipped bits, cuts, insertions, swaps or noise. Many copies get a valid checksum."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, len(changed) + 1))
        kind = rng.integers(0, 6)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del changed[place:]
        elif kind == 2:
            changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 3:
            changed[place : place + 4] = rng.bytes(4)
        elif kind == 4:
            head = min(place, 16)
            changed[head : head + 1] = b"\xff"
        else:
            changed = (
                bytearray(changed[place:] + changed[:place]) if rng.random() < 0.1 else bytearray(rng.bytes(place))
            )
    if rng.random() < 0.5:
        changed += zlib.crc32(changed).to_bytes(4, "little")
    elif len(changed) >= 4 and rng.random() < 0.5:
        changed[-4:] = zlib.crc32(changed[:-4]).to_bytes(4, "little")
    return bytes(changed)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="number of files to try")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import_tensorflow()
    from compressgan.codec import Codec
    from compressgan.networks.inference import TensorFlowNetworks
    from compressgan.networks.model import CompressGAN

    codec = Codec(TensorFlowNetworks(CompressGAN(PROJECT.presets["tiny"])))
    rng = np.random.default_rng(arguments.seed)
    photos = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((1, 1), (40, 70), (96, 64))]
    originals = [codec.compress(photo, coder=coder) for photo in photos for coder in CODERS]
    symbols = [codec.from_bytes(data)[0] for data in originals]
    refused = decoded = slowest = 0
    for _ in range(arguments.files):
        i = int(rng.integers(0, len(originals)))
        data = mutate(originals[i], rng)
        start = time.perf_counter()
        found = None
        try:
            found = codec.from_bytes(data)[0]
            decoded += 1
            if data == originals[i]:
                np.testing.assert_array_equal(found, symbols[i])
            else:
                # A forged checksum hides the change, and the file decodes to other symbols.
                assert found.min() >= 0 and found.max() < len(codec.centers)
        except BitstreamError:
            refused += 1
        seconds = time.perf_counter() - start
        slowest = max(slowest, seconds)
        height, width, channels = found.shape if found is not None else (0, 0, 0)
        allowed = SECONDS + SECONDS_A_FRONT * (width + 2 * height) + SECONDS_A_SYMBOL * height * width * channels
        assert seconds < allowed, f"{seconds:.1f} s for latents of {height} x {width} x {channels}"
    print(f"{arguments.files} files: {refused} refused, {decoded} decoded, the slowest in {1e3 * slowest:.0f} ms")
    return 0


if __name__ == "__main__":
    run(main)
