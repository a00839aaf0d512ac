from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parent / "golden" / "check.py"


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("simd", ["", "AVX512F AVX512_SKX AVX2 FMA3"])
def test_a_file_from_long_ago_decodes_to_the_same_symbols(threads: str, simd: str) -> None:
    """Whatever the number of threads and the instructions that NumPy may use."""
    threading = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    environment = os.environ | threading | {"NPY_DISABLE_CPU_FEATURES": simd}
    if simd:
        environment["OPENBLAS_CORETYPE"] = "Nehalem"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", CHECK], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode == 0, result.stderr
