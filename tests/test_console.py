"""The command `compressgan`, as installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import compressgan
from compressgan import Codec
from compressgan.cli import options
from conftest import ROOT, assert_one_error_line


def run_console(*arguments: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "compressgan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, timeout=200)


def test_there_and_back(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    result = run_console("compress", photos, "-o", tmp_path / "out", "-r", checkpoint, "--coder", "order0")
    assert result.returncode == 0, result.stderr
    assert "mean of 4" in result.stdout
    result = run_console("decompress", tmp_path / "out", "-o", tmp_path / "back", "-r", checkpoint)
    assert result.returncode == 0, result.stderr
    for name in ("a_reconstructed.png", "sub/d_reconstructed.png"):
        first, second = (np.asarray(Image.open(tmp_path / folder / name)) for folder in ("out", "back"))
        np.testing.assert_array_equal(first, second)

    binary = tmp_path / "out" / "a.bin"
    size = binary.stat().st_size
    result = run_console("info", binary, tmp_path / "out" / "b.bin", "-r", checkpoint)
    assert result.returncode == 0, result.stderr
    first, *facts = result.stdout.splitlines()[:8]
    assert first == str(binary)
    expected = {
        "size": "100 x 80 pixels",
        "level": "5",
        "coder": "order0",
        "format": "version 2, 4 latent channels",
        "bytes": f"{size}: 16 of header and checksum, {size - 16} of payload",
        "rate": f"{8 * size / 8000:.4f} bits per pixel",
    }
    found = {fact.split()[0]: " ".join(fact.split()[1:]) for fact in facts}
    assert found.pop("model").endswith(f", the model in {checkpoint}")
    assert found == expected

    binary.write_bytes(binary.read_bytes()[:-3])
    result = run_console("info", binary, tmp_path / "out" / "b.bin")
    assert_one_error_line(result, "a.bin: truncated or altered")
    assert ", not the shipped model\n" in result.stdout


def test_version_and_usage() -> None:
    assert run_console("--version").stdout == f"compressgan {compressgan.__version__}\n"
    result = run_console()
    assert result.returncode == 2
    assert result.stderr.startswith("usage: compressgan")
    assert_one_error_line(run_console("compress", "/none.jpg", "-o", "/tmp"), "none.jpg: no such file")


def test_evaluate(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    result = run_console("evaluate", photos, "-o", tmp_path / "out", "-r", checkpoint, "--codecs", "JPEG")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "results.json").exists()


def test_options_reach_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple] = []
    monkeypatch.setattr(Codec, "load", lambda *own: given.append(own) or SimpleNamespace(levels=8, realism=True))
    parser = options.make_parser(None)
    options.add_checkpoint_option(parser, Path("m"))
    options.add_output_options(parser)
    options.add_compression_options(parser, 4)
    options.load_codec(parser.parse_args(["-o", "x", "--memory", "0.25", "--threads", "3", "--effort", "7"]))
    assert given == [(Path("m"), 2**28, 7, 3)]
