from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHECK = Path(__file__).resolve().parent / "golden" / "check.py"


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("simd", [True, False])
def test_files_from_long_ago_decode_to_the_same_symbols(threads: str, simd: bool) -> None:
    """The symbols do not depend on the number of threads or on the instructions that NumPy may use."""
    environment = os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    chosen = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not simd:
        environment |= {"NPY_DISABLE_CPU_FEATURES": " ".join(chosen), "OPENBLAS_CORETYPE": "Nehalem"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", CHECK], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0].split()[2:] == (chosen if simd else [])
