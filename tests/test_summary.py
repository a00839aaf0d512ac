"""The tables of figures in an output folder."""

from __future__ import annotations

import csv
import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from compressgan import CompressGANError
from compressgan.evaluation.metrics import Figures, mean_line
from compressgan.evaluation.summary import Summary

FIGURES = Figures("a.png", 40, 30, 1000, 100, 10.0, 2 / 3, 1.0, 25.0, math.nan, math.nan, 5, 0.5)


def test_figures_of_several_calls(tmp_path: Path) -> None:
    first = Summary(tmp_path)
    for name in ("b, c", "ä", '"a"\n'):
        first.add(replace(FIGURES, file=name))
    first.write()
    second = Summary(tmp_path)
    assert "ä" in second
    assert "b" not in second
    second.add(replace(FIGURES, file="ä", psnr=27.0, bytes=300))
    second.add(replace(FIGURES, file="new", psnr=math.inf))
    second.write()
    rows = json.loads((tmp_path / "summary.json").read_text())["photos"]
    assert [row["file"] for row in rows] == ["b, c", "ä", '"a"\n', "new"]
    assert [row["psnr"] for row in rows] == [25.0, 27.0, 25.0, None]
    with (tmp_path / "summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["file"] for row in table] == ["b, c", "ä", '"a"\n', "new"]
    assert [row["psnr"] for row in table] == ["25", "27", "25", ""]
    means = json.loads((tmp_path / "summary.json").read_text())["mean"]
    assert means["bytes"] == 150
    assert means["psnr"] == pytest.approx(77 / 3)
    assert means["ms_ssim"] is None
    assert "file" not in means
    (shown,) = second.of(["ä"])
    assert (shown.psnr, shown.bpp) == (27.0, 2 / 3)
    assert math.isnan(shown.ms_ssim)
    assert len(list(second.of())) == 4


def test_two_calls_at_the_same_time(tmp_path: Path) -> None:
    first, second = Summary(tmp_path), Summary(tmp_path)
    first.add(replace(FIGURES, file="a"))
    first.add(replace(FIGURES, file="both", bytes=1))
    second.add(replace(FIGURES, file="b"))
    second.add(replace(FIGURES, file="both", bytes=2))
    first.write()
    second.write()
    found = {figures.file: figures.bytes for figures in Summary(tmp_path).of()}
    assert found == {"a": 100, "b": 100, "both": 2}


def test_exact_photos_stay_exact(tmp_path: Path) -> None:
    summary = Summary(tmp_path)
    summary.add(replace(FIGURES, psnr=math.inf))
    (found,) = summary.of()
    assert found.psnr == math.inf
    assert "PSNR inf dB" in mean_line(summary.of(["a.png"]))
    summary.write()
    assert "PSNR inf dB" in mean_line(Summary(tmp_path).of(["a.png"]))


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """SQLite is given a limit instead of a disk that is full."""
    summary = Summary(tmp_path)
    summary._database.execute("PRAGMA max_page_count = 40")
    kept = 0
    with pytest.raises(CompressGANError, match=r"the figures cannot be kept in a temporary file: .* full"):
        for i in range(10_000):
            summary.add(replace(FIGURES, file=f"{i}.png"))
            kept += 1
    assert len(list(summary.of())) == kept > 100
    summary.write()
    assert len(list(Summary(tmp_path).of())) == kept


def test_a_summary_of_an_older_version(tmp_path: Path) -> None:
    row = {"file": "a.png", "width": 4, "height": 3, "original_bytes": 9, "bytes": 3, "ratio": 3.0, "bpp": 2.0}
    row |= {"bound_bpp": 3.0, "psnr": None, "ms_ssim": None, "ssimulacra2": None}
    (tmp_path / "summary.json").write_text(json.dumps({"mean": {}, "photos": [row]}, indent=2))
    (found,) = Summary(tmp_path).of()
    assert (found.file, found.bpp) == ("a.png", 2.0)
    start = '{"mean": {}, "photos": [\n'
    (tmp_path / "summary.json").write_text(f"{start}  {json.dumps(row)}\n]}}\n")
    assert len(list(Summary(tmp_path).of())) == 1
    for text in (start + '{"file": "a.png", "mine": 3}\n]}\n', start + "{\n]}\n"):
        (tmp_path / "summary.json").write_text(text)
        with pytest.raises(CompressGANError, match="not written by this program"):
            Summary(tmp_path)


def test_millions_of_photos_are_not_held_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        summary = Summary(tmp_path)
        for i in range(20_000):
            summary.add(replace(FIGURES, file=f"{i}.png"))
        summary.write()
        again = Summary(tmp_path)
        assert sum(1 for _ in again.of()) == 20_000
        journal = again._database.execute("PRAGMA journal_mode").fetchone()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert journal != ("memory",)  # which the peak does not count
    assert peak < 2e6  # 20,000 rows in memory would take more than ten times as much
