"""Decodes the golden files, and prints the instruction sets that NumPy selects and a SHA-256 of each file's symbols.

Needs only NumPy and constriction, in any allowed version. `golden.bin` is of a model without levels, `level1.bin` to
`level8.bin` are one photo at each level of another one. `priors.npz` holds its priors, `prior.npz` that of the first.
"""

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import numpy as np

from compressgan.coding.arithmetic_coder import decode, encode
from compressgan.coding.bitstream import Bitstream
from compressgan.coding.context_model import Prior

HERE = Path(__file__).resolve().parent


def prior(level: int) -> Prior:
    """Returns the prior of a level of the model with levels; 0 for the model without."""
    arrays = {
        name: array.astype(np.int32) for name, array in np.load(HERE / ("priors.npz" if level else "prior.npz")).items()
    }
    if level:
        arrays |= {name: arrays[name][level - 1] for name in ("hidden_bias", "output_bias")}
    return Prior(**arrays)


print("NumPy uses:", *np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
expected = dict(line.split() for line in (HERE / "symbols.txt").read_text().splitlines())
for level, (name, digest) in enumerate(expected.items()):
    stream, known = Bitstream.from_bytes((HERE / name).read_bytes()), prior(level)
    centers = known.output.shape[-1]
    shape = (-(-stream.height // 16), -(-stream.width // 16), stream.channels)
    symbols = decode(stream.payload, shape, centers, known, stream.coder)
    found = hashlib.sha256(symbols.astype("<i4").tobytes()).hexdigest()
    print(name, found)
    if found != digest or encode(symbols, centers, known) != (stream.coder, stream.payload):
        sys.exit(f"{name} decodes differently with NumPy {np.__version__}")
