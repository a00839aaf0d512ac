"""The command line of inference, run as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressgan.coding.bitstream import Bitstream
from compressgan.evaluation.html_report import HtmlReport
from compressgan.images.reading import read_photo
from conftest import ROOT, assert_one_error_line, make_photo, run_cli


@pytest.fixture
def compressed(checkpoint: Path, photos: Path, tmp_path: Path) -> Path:
    """The output folder of compressing `photos`."""
    output = tmp_path / "out"
    result = run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", output)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "a.png: 100 x 80" in result.stdout
    assert "mean of 4" in result.stdout
    return output


def test_a_folder_there_and_back(compressed: Path, checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    made = sorted(str(path.relative_to(compressed)) for path in compressed.rglob("*") if path.is_file())
    stems = ("a", "b", "c", "sub/d")
    kinds = (".bin", "_comparison.png", "_reconstructed.png")
    assert made == sorted(["summary.csv", "summary.json", *(stem + kind for stem in stems for kind in kinds)])
    with (compressed / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    summary = json.loads((compressed / "summary.json").read_text())
    for row, same in zip(rows, summary["photos"], strict=True):
        assert list(row) == list(same)
        for name, value in same.items():
            assert row[name] == ("" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value))
    assert summary["mean"]["psnr"] == pytest.approx(np.mean([float(row["psnr"]) for row in rows]), 1e-4)
    assert summary["mean"]["ms_ssim"] is None  # all photos are too small for it
    assert [row["file"] for row in rows] == ["a.png", "b.jpg", "c.webp", "sub/d.png"]
    for row in rows:
        stem = Path(row["file"]).with_suffix("")
        assert int(row["bytes"]) == (compressed / f"{stem}.bin").stat().st_size
        assert float(row["ratio"]) == pytest.approx((photos / row["file"]).stat().st_size / int(row["bytes"]), 1e-4)
        assert float(row["bpp"]) == pytest.approx(8 * int(row["bytes"]) / int(row["width"]) / int(row["height"]), 1e-4)
    shown = np.asarray(Image.open(compressed / "a_comparison.png"))
    column = shown.shape[1] // 2
    left = (column - 100) // 2
    np.testing.assert_array_equal(shown[:80, left : left + 100], read_photo(photos / "a.png"))
    reconstruction = np.asarray(Image.open(compressed / "a_reconstructed.png"))
    np.testing.assert_array_equal(shown[:80, column + left :][:, :100], reconstruction)

    # The .bin and the checkpoint are all that decoding needs.
    bins = tmp_path / "bins"
    for path in compressed.rglob("*.bin"):
        target = bins / path.relative_to(compressed)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.rmtree(photos)
    result = run_cli("inference.py", "-r", checkpoint, "-c", bins, "-o", tmp_path / "out2")
    assert result.returncode == 0, result.stderr
    for stem in stems:
        first, second = (folder / f"{stem}_reconstructed.png" for folder in (compressed, tmp_path / "out2"))
        np.testing.assert_array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(second)))

    kept, gone = (tmp_path / "out2" / f"{stem}_reconstructed.png" for stem in "ab")
    kept.write_text("mine")
    gone.unlink()
    result = run_cli("inference.py", "-r", checkpoint, "-c", bins, "-o", tmp_path / "out2", "--no-overwrite")
    assert (result.returncode, kept.read_text(), gone.exists()) == (0, "mine", True)
    assert "3 of 4 files are already done" in result.stdout


def test_damaged_bin_files_do_not_stop_the_others(compressed: Path, checkpoint: Path, tmp_path: Path) -> None:
    good = (compressed / "a.bin").read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    (compressed / "cut.bin").write_bytes(good[:-5])
    (compressed / "flipped.bin").write_bytes(flipped)
    (compressed / "text.bin").write_text("hello")
    result = run_cli("inference.py", "-r", checkpoint, "-c", compressed, "-o", tmp_path / "out2")
    assert result.returncode == 1
    errors = result.stderr.splitlines()
    assert len(errors) == 4
    assert "cut.bin: truncated or altered" in errors[0]
    assert "flipped.bin: truncated or altered" in errors[1]
    assert "text.bin: not a CompressGAN .bin" in errors[2]
    assert "3 of 7 files failed" in errors[3]
    assert len(list((tmp_path / "out2").rglob("*.png"))) == 4


def test_a_bad_photo_in_a_folder_does_not_stop_the_others(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    Image.fromarray(make_photo(150, 150)).save(photos / "cut.jpg")
    good = (photos / "cut.jpg").read_bytes()
    for name in ("lost1.jpg", "lost2.jpg"):
        (photos / name).write_bytes(good[: len(good) // 2] + good[len(good) // 2 + 100 :])
    (photos / "cut.jpg").write_bytes(good[:2000])
    (photos / "text.jpg").write_text("not a photo")
    (photos / "notes.txt").write_text("not meant to be one")
    for name in ("alpha1.png", "alpha2.png"):
        Image.new("RGBA", (20, 20)).save(photos / name)
    result = run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "out")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert [line for line in lines if "alpha" in line] == [
        f"warning: {photos / 'alpha1.png'}: transparency is shown on white (reported only once)"
    ]
    lost = [line for line in lines if "lost" in line]
    assert [line.split(": Corrupt JPEG data")[0] for line in lost] == [
        f"warning: {photos / name}: its decoder reports" for name in ("lost1.jpg", "lost2.jpg")
    ]
    assert sum("cut.jpg: damaged image" in line for line in lines) == 1
    assert sum("text.jpg: not an image" in line for line in lines) == 1
    assert lines[-1] == "error: 2 of 10 files failed"
    assert len(list((tmp_path / "out").rglob("*.bin"))) == 8


def test_bin_files_that_cannot_be_read_to_their_end(compressed: Path, checkpoint: Path, tmp_path: Path) -> None:
    """A pipe would never end, and a disk image would fill the memory."""
    os.mkfifo(compressed / "pipe.bin")
    with (compressed / "disk.bin").open("wb") as file:
        file.truncate(2**40)
    result = run_cli("inference.py", "-r", checkpoint, "-c", compressed, "-o", tmp_path / "out2")
    assert "disk.bin: not a CompressGAN .bin file" in result.stderr
    assert len(list((tmp_path / "out2").rglob("*.png"))) == 4
    result = run_cli("inference.py", "-r", checkpoint, "-c", compressed / "pipe.bin", "-o", tmp_path / "out2")
    assert_one_error_line(result, "pipe.bin: not a regular file")


def test_inference_errors(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    photo, out, long = photos / "a.png", tmp_path / "out", tmp_path / "long.png"
    Image.new("RGB", (1_100_000, 1)).save(long)
    cases = [
        (("-path", tmp_path / "none.jpg", "-o", out), "none.jpg: no such file"),
        (("-path", tmp_path / "empty", "-o", out), "empty: no images"),
        (("-c", tmp_path / "empty", "-o", out), "empty: no .bin files"),
        (("-path", photo, "-o", tmp_path / "file" / "out"), "file/out: cannot be written"),
        (("-path", photo, "-o", out, "-r", tmp_path / "nowhere"), "nowhere/config.json: no such file"),
        (("-path", tmp_path / ("a" * 300), "-o", out), "a: File name too long"),
        (("-path", long, "-o", out, "-r", checkpoint), "long.png: a photo of 1100000 x 1 pixels does not fit"),
    ]
    for arguments, words in cases:
        assert_one_error_line(run_cli("inference.py", *arguments), words)
    for arguments, words in (
        (("-c", photo, "--report"), "--report: only for compressing"),
        (("-c", photo, "--bin-only"), "--bin-only: only for compressing, which needs -path"),
        (("-c", photo, "--effort", 2, "--coder", "block"), "--coder and --effort: only for compressing"),
        (("-path", photo, "--bin-only", "--realism", 1), "which --bin-only does not make"),
        (("-path", photo, "--bin-only", "--format", "webp"), "which --bin-only does not make"),
        (("-path", photo, "--ray", "--threads", 2), "--threads has no effect with --ray"),
        (("-path", photos, "--mask", photos), f"{photos}: no photos are left, because all of them are masks"),
    ):
        assert_one_error_line(run_cli("inference.py", *arguments, "-o", out), words, code=2)
    for arguments in (
        ("-o", out),
        ("-path", photo, "-c", photo, "-o", out),
        ("-path", photo, "-o", out, "--effort", 21),
    ):
        result = run_cli("inference.py", *arguments)
        assert result.returncode == 2
        assert result.stderr.startswith("usage: inference.py")


def test_no_file_of_the_user_is_overwritten(checkpoint: Path, photos: Path) -> None:
    (photos / "a_reconstructed.png").write_bytes((photos / "sub" / "d.png").read_bytes())
    several = ("-path", photos / "a.png", photos / "a_reconstructed.png")
    result = run_cli("inference.py", "-r", checkpoint, *several, "-o", photos)
    assert_one_error_line(
        result, "a_reconstructed.png: this output of", "would overwrite another photo to compress", code=2
    )
    (photos / "a.bin").write_bytes(b"firmware")
    for options in ((), ("--bin-only",)):
        result = run_cli("inference.py", "-r", checkpoint, "-path", photos / "a.png", "-o", photos, *options)
        assert_one_error_line(result, "a.bin: not written by this program and would be overwritten; move it")
    assert (photos / "a.bin").read_bytes() == b"firmware"
    assert (photos / "a_reconstructed.png").read_bytes() == (photos / "sub" / "d.png").read_bytes()
    (photos / "b.bin").touch()
    result = run_cli("inference.py", "-r", checkpoint, "-path", photos / "b.jpg", "-o", photos, "--bin-only")
    assert result.returncode == 0, result.stderr


def test_a_photo_that_the_format_cannot_hold_is_named_before_the_work(checkpoint: Path, tmp_path: Path) -> None:
    Image.new("RGB", (16384, 4)).save(tmp_path / "wide.png")
    arguments = ("-r", checkpoint, "-path", tmp_path / "wide.png", "-o", tmp_path / "out", "--format", "webp")
    assert_one_error_line(run_cli("inference.py", *arguments), "WEBP holds at most 16383 pixels per side")
    assert not list((tmp_path / "out").iterdir())


def test_report_format_and_timings(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("-r", checkpoint, "-path", photos, "-o", out, "--report", "--verbose", "--format", "webp")
    result = run_cli("inference.py", *arguments)
    assert result.returncode == 0, result.stderr
    assert Image.open(out / "a_reconstructed.webp").size == (100, 80)
    assert not (out / "a_reconstructed.png").exists()
    for part in ("start-up", "read", "encode", "code", "decode", "reconstruct", "measure", "save"):
        assert f"{part}: " in result.stdout
    page = (out / "report.html").read_text()
    assert page.count("<figure") == 4
    assert '<a href="#photo3">sub/d.png</a>' in page
    assert json.loads((out / "summary.json").read_text())["mean"]["ssimulacra2"] < 100
    HtmlReport(out)  # the page is known as our own

    result = run_cli("inference.py", "-r", checkpoint, "-c", out, "-o", tmp_path / "back", "--format", "jpeg")
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "back" / "sub" / "d_reconstructed.jpg").format == "JPEG"


def test_bin_only(checkpoint: Path, photos: Path, compressed: Path, tmp_path: Path) -> None:
    out = tmp_path / "only"
    arguments = ("-r", checkpoint, "-path", photos, "-o", out, "--bin-only")
    result = run_cli("inference.py", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    made = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert made == {name: (compressed / name).read_bytes() for name in ("a.bin", "b.bin", "c.bin", "sub/d.bin")}
    size = len(made["a.bin"])
    assert f"a.png: 100 x 80, {size} bytes, {8 * size / 8000:.4f} bpp" in result.stdout.splitlines()
    (out / "a.bin").unlink()
    (out / "b.bin").write_text("mine")
    result = run_cli("inference.py", *arguments, "--no-overwrite")
    assert result.returncode == 0, result.stderr
    assert "3 of 4 files are already done" in result.stdout
    assert ((out / "a.bin").read_bytes(), (out / "b.bin").read_text()) == (made["a.bin"], "mine")


def test_no_overwrite_makes_what_is_missing_only(compressed: Path, checkpoint: Path, photos: Path) -> None:
    arguments = ("-r", checkpoint, "-path", photos, "-o", compressed, "--no-overwrite")
    summary = json.loads((compressed / "summary.json").read_text())
    (compressed / "b_comparison.png").unlink()
    kept = compressed / "b_reconstructed.png"
    kept.write_text("mine")
    result = run_cli("inference.py", *arguments)
    assert result.returncode == 0, result.stderr
    assert "3 of 4 files are already done" in result.stdout
    assert kept.read_text() == "mine"
    assert (compressed / "b_comparison.png").exists()
    assert json.loads((compressed / "summary.json").read_text()) == summary

    # Figures that an interrupted call left out are added, and a report has all photos.
    (compressed / "summary.json").unlink()
    result = run_cli("inference.py", *arguments, "--report")
    assert result.returncode == 0, result.stderr
    after = json.loads((compressed / "summary.json").read_text())["photos"]
    assert [{**row, "ssimulacra2": None} for row in after] == summary["photos"]
    assert (compressed / "report.html").read_text().count("<figure") == 4
    assert kept.read_text() == "mine"

    long = f"{'x' * 245}.png"  # its reconstruction's name would be longer than file systems allow
    Image.new("RGB", (16, 16)).save(photos / long)
    result = run_cli("inference.py", *arguments)
    assert result.returncode == 1
    assert "File name too long" in result.stderr
    assert "Traceback" not in result.stderr


def test_summaries_add_to_what_earlier_calls_wrote(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def files(name: str, *options: str) -> list[str]:
        result = run_cli("inference.py", "-r", checkpoint, "-path", photos / name, "-o", out, *options)
        assert result.returncode == 0, result.stderr
        assert "mean of 1:" in result.stdout
        with (out / "summary.csv").open() as file:
            rows = [row["file"] for row in csv.DictReader(file)]
        assert [row["file"] for row in json.loads((out / "summary.json").read_text())["photos"]] == rows
        return rows

    assert files("a.png") == ["a.png"]
    assert files("b.jpg", "--no-overwrite") == ["a.png", "b.jpg"]
    assert files("a.png") == ["a.png", "b.jpg"]
    assert files("c.webp") == ["a.png", "b.jpg", "c.webp"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.csv", "my,own\n1,2\n"),
        ("summary.csv", "file,width,height,author\na.jpg,4,3,I\n"),
        ("summary.csv", "file,width,height\na.jpg,4,3\n"),
        ("summary.csv", ""),
        ("summary.json", '{"mine": 1}'),
        ("summary.json", "mine"),
        ("report.html", "<title>mine</title>"),
    ],
)
def test_a_summary_of_somebody_else_is_not_overwritten(
    checkpoint: Path, photos: Path, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    report = ("--report",) if name == "report.html" else ()
    for options in ((), ("--no-overwrite",)):
        result = run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path, *report, *options)
        assert_one_error_line(result, f"{name}: not written by this program")
    assert (tmp_path / name).read_text() == text
    assert not (tmp_path / "a.bin").exists()


def test_no_overwrite_shows_what_the_bin_holds(compressed: Path, checkpoint: Path, photos: Path) -> None:
    """The other outputs are made from a `.bin` that is kept. If it cannot be used, it is named."""
    other = (compressed / "b.bin").read_bytes()
    bins = {"a.bin": b"mine", "c.bin": other}
    for name, data in bins.items():
        (compressed / name).write_bytes(data)
    arguments = ("-r", checkpoint, "-path", photos, "-o", compressed, "--no-overwrite", "--format", "webp")
    result = run_cli("inference.py", *arguments)
    assert result.returncode == 1
    assert "a.bin: not a CompressGAN .bin file" in result.stderr
    assert "c.bin: made from a photo of another size" in result.stderr
    assert {name: (compressed / name).read_bytes() for name in bins} == bins
    assert not (compressed / "a_reconstructed.webp").exists()
    assert (compressed / "b_reconstructed.webp").exists()

    result = run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", compressed)
    assert "a.bin: not written by this program" in result.stderr
    assert (compressed / "a.bin").read_bytes() == b"mine"
    assert (compressed / "c.bin").read_bytes() != other


@pytest.mark.usefixtures("usual_signals")
def test_ended_calls_leave_no_half_written_file(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    for i in range(30):
        Image.fromarray(make_photo(300, 400, i)).save(photos / f"more{i}.png")
    script = ROOT / "src" / "inference.py"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        out = tmp_path / f"out{number}"
        command = [sys.executable, script, "-r", checkpoint, "-path", photos, "-o", out]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()  # the first photo is done
        process.send_signal(number)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 130
        assert errors == "error: interrupted\n"
        assert json.loads((out / "summary.json").read_text())["photos"]
        assert not list(out.rglob(".*"))
        for path in out.rglob("*.png"):
            Image.open(path).load()


def test_a_link_to_itself_stops_no_other_photo(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "loop.jpg").symlink_to("loop.jpg")
    for _ in range(2):  # the second call finds outputs, which it compares with the inputs
        result = run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path, "--bin-only")
        assert result.stderr.splitlines()[0].startswith(f"error: {photos / 'loop.jpg'}: ")
        assert len(result.stderr.splitlines()) == 2
        assert len(list(tmp_path.glob("*.bin"))) == 3


def test_coder(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    arguments = ("-r", checkpoint, "-path", photos / "a.png", "-o", tmp_path, "--bin-only", "--coder", "block")
    assert run_cli("inference.py", *arguments).returncode == 0
    assert Bitstream.from_bytes((tmp_path / "a.bin").read_bytes()).coder == "block"
