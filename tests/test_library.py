"""The package as a library: `from compressgan import Codec` in somebody else's program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import compressgan
from conftest import ROOT, make_photo

# NumPy and h5py add warnings filters of their own, so they are imported before the state is taken.
STATE = """
import logging, os, signal, sys, warnings
import h5py, numpy
import PIL.Image, PIL.ImageFile

def state():
    umask = os.umask(0)
    os.umask(umask)
    return {
        "path": list(sys.path),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "pixels": PIL.Image.MAX_IMAGE_PIXELS,
        "truncated": PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
        "formats": sorted(PIL.Image.registered_extensions()),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "umask": umask,
    }

def changed(before):
    return {name: value for name, value in state().items() if value != before[name]}

"""


def run_program(code: str, folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Runs a program in its own folder, with the package importable as if it were installed."""
    (folder / "program.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for name in ("TF_CPP_MIN_LOG_LEVEL", "OPENBLAS_NUM_THREADS"):  # the tests' own process may have set them
        environment.pop(name, None)
    command = [sys.executable, *options, str(folder / "program.py")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)


def test_importing_and_using_the_library_changes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(make_photo(40, 60)).save(tmp_path / "photo.png")
    code = (
        STATE
        + f"""
before = state()
import compressgan
from compressgan import Codec, CompressGANError, Config
assert not changed(before), changed(before)
codec = Codec.load({str(checkpoint)!r})
photo = codec.decompress(codec.compress(PIL.Image.open({str(tmp_path / "photo.png")!r})))
assert photo.shape == (40, 60, 3)
from compressgan.images.reading import read_photo
read_photo({str(tmp_path / "photo.png")!r})
assert not changed(before), changed(before)
"""
    )
    result = run_program(code, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_can_use_a_codec_that_was_used_before(checkpoint: Path, tmp_path: Path) -> None:
    """As with multiprocessing's default on Linux until Python 3.14."""
    code = f"""
import multiprocessing
import numpy as np
from compressgan import Codec

codec = Codec.load({str(checkpoint)!r})
photo = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)

def work(_):
    return codec.compress(photo)

if __name__ == "__main__":
    before = work(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map_async(work, range(3)).get(timeout=60) == [before] * 3)
"""
    result = run_program(code, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("name", ["Codec", "Config", "CompressGANError"])
def test_names_of_the_package(name: str) -> None:
    assert name in dir(compressgan)
    assert getattr(compressgan, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'codex'"):
        compressgan.codex  # noqa: B018


def test_an_application_with_modules_of_the_usual_names(checkpoint: Path, tmp_path: Path) -> None:
    """The application's `config`, `settings`, ... and the library's modules do not interfere."""
    own = ("config", "settings", "model", "data", "codec", "errors", "files", "losses", "metrics", "cli", "train")
    for name in own:
        (tmp_path / f"{name}.py").write_text(f"OWNER = 'application {name}'\n")
    code = f"""
import {", ".join(own)}
import numpy as np
from compressgan import Codec
loaded = Codec.load({str(checkpoint)!r})
assert loaded.decompress(loaded.compress(np.zeros((20, 30, 3), np.uint8))).shape == (20, 30, 3)
print({", ".join(f"{name}.OWNER" for name in own)}, sep=",")
"""
    result = run_program(code, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ",".join(f"application {name}" for name in own)


def test_import_is_silent_and_fast(tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):  # the fastest counts, because other tests may run at the same time
        start = time.perf_counter()
        result = run_program("import compressgan", tmp_path, "-W", "error")
        seconds.append(time.perf_counter() - start)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert min(seconds) < 0.5
