"""The scripts behind the README's figures run, and the fuzz tests find nothing in a few hundred files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def run_benchmark(name: str, *arguments: object) -> str:
    command = [sys.executable, ROOT / "benchmarks" / name, *arguments]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_fuzz() -> None:
    output = run_benchmark("fuzz.py", "--files", 400)
    assert output.startswith("400 files: ")


def test_fuzz_photos() -> None:
    output = run_benchmark("fuzz_photos.py", "--files", 208)
    assert output.startswith("208 files: ") and "all right" in output


def test_coder(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    output = run_benchmark("coder.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "coder.json")
    result = json.loads((tmp_path / "coder.json").read_text())
    sizes = {row["code"]: row["bytes"] for row in result["sizes"]}
    assert sizes["bits as text, as in the original"] == 8 * sizes["packed, 3 bits per symbol"]
    assert sizes["block, whole files"] < sizes["packed, 3 bits per symbol"] + 18
    assert all(name in output for name in sizes)
    assert {(row["coder"], row["width"]) for row in result["speeds"]} >= {("context", 1536), ("context", 256)}


def test_inference(checkpoint: Path, photos: Path) -> None:
    output = run_benchmark("inference.py", "-r", checkpoint, "-path", photos, "--count", 1, "--large", 400, 300)
    for words in (
        "first run",
        "encode + refine + code",
        "decode + reconstruct",
        "| compress 1 photos, all outputs |",
        "| reconstruct one photo of 400 x 300 |",
    ):
        assert words in output


def test_peers(photos: Path) -> None:
    output = run_benchmark("peers.py", "-path", photos / "a.png")
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in output.splitlines()[2:]}
    assert {"CompressGAN", "CompressGAN, --effort 0", "JPEG", "WebP"} <= set(rows)
    refined, plain = (float(rows[name][2]) for name in ("CompressGAN", "CompressGAN, --effort 0"))
    assert refined > plain > 0
    installed = {name: float(cells[-1].rstrip(" |").replace(",", "")) for name, cells in rows.items() if len(cells) > 1}
    assert installed["CompressGAN"] > 5 * installed["JPEG"] > 0
