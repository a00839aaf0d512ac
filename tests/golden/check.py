"""Decodes golden.bin, and prints the SHA-256 of its symbols and the instruction sets that NumPy selects.

Needs only NumPy and constriction, in any allowed version.
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
EXPECTED = "0223a01488c3c0529f6306bf9044fe267dba07e99a5c1820281b6f3c31bfc54f"

prior = Prior(**np.load(HERE / "prior.npz"))
stream = Bitstream.from_bytes((HERE / "golden.bin").read_bytes())
centers = prior.output.shape[-1]
shape = (-(-stream.height // 16), -(-stream.width // 16), stream.channels)
symbols = decode(stream.payload, shape, centers, prior, stream.coder)
found = hashlib.sha256(symbols.astype("<i4").tobytes()).hexdigest()
print(found)
print("NumPy uses:", *np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
if found != EXPECTED or encode(symbols, centers, prior) != (stream.coder, stream.payload):
    sys.exit(f"golden.bin decodes differently with NumPy {np.__version__}")
