"""Comparison with other codecs."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from compressgan.codec import Codec
from compressgan.errors import CompressGANError
from compressgan.evaluation import kodak
from compressgan.evaluation.bench import OURS, Bench, NetworkMetrics, Result
from compressgan.evaluation.curves import bd_rates, bytes_needed, comparisons, of_sets
from compressgan.evaluation.metrics import psnr
from compressgan.evaluation.other_codecs import ComparedCodec, available_codecs
from compressgan.evaluation.results import means
from compressgan.evaluation.selection import SHOWN, at_equal_bytes, first_reaching, spanning
from compressgan.evaluation.store import Store
from compressgan.evaluation.tables import print_table
from conftest import ROOT, assert_one_error_line, make_photo, run_cli

SCHEMA = json.loads((ROOT / "src" / "compressgan" / "evaluation" / "results.schema.json").read_text())


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    return {"a.png": make_photo(64, 96), "b.png": make_photo(48, 80, 1)}


def stored(name: str = "stored", fails_on: int = -1) -> ComparedCodec:
    """A codec that keeps the upper bits of each pixel, and fails on photos of one width."""

    def encode(photo: np.ndarray, bits: int) -> bytes:
        if photo.shape[1] == fails_on:
            raise OSError("no such width\nhere")
        head = np.array(photo.shape[:2], np.uint16).tobytes()
        return head + (photo >> (8 - bits)).tobytes()[: photo.size * bits // 8] + bytes(photo.size)

    def decode(data: bytes) -> np.ndarray:
        height, width = np.frombuffer(data[:4], np.uint16)
        return np.zeros((height, width, 3), np.uint8)

    return ComparedCodec(name, range(1, 9), encode, decode, name)


@pytest.mark.parametrize("target", [-1, 0, 3.5, 4, 99, 100])
def test_first_reaching(target: float) -> None:
    tried = []

    def size(setting: int) -> float:
        tried.append(setting)
        return setting**2

    found = first_reaching(range(10), size, target)
    assert found == next((i for i in range(10) if i**2 >= target), 9)
    assert len(tried) <= 4


def test_settings_span_the_rates(photos: dict[str, np.ndarray]) -> None:
    codec, bench = stored(), Bench(photos)
    rates = {bits: bench.mean_bpp(codec, bits) for bits in codec.settings}
    assert spanning(codec, bench, rates[3] - 0.1, rates[6]) == [2, 3, 6]  # their rates are less than 1.6 times apart
    assert spanning(codec, bench, rates[1] / 5, rates[1]) == [1]  # even its smallest files are larger
    assert spanning(codec, bench, rates[1] / 5, rates[2]) == [1, 2]
    assert spanning(codec, bench, 1000.0, 2000.0) == [7, 8]


def test_bytes_that_a_codec_needs() -> None:
    points = [(100, 20.0), (200, 22.0), (400, 23.0)]
    assert bytes_needed(points, 20.0) == 100
    assert bytes_needed(points, 21.0) == pytest.approx(100 * 2**0.5)
    assert bytes_needed(points, 22.5) == pytest.approx(200 * 2**0.5)
    assert bytes_needed(points, 23.0) == pytest.approx(400)
    assert bytes_needed(points, 19.9) == 0
    assert bytes_needed(points, 23.1) == math.inf


def results_of(codec: str, sizes: dict[int, int], psnr: dict[int, float], photos: int, spread: float) -> list[Result]:
    nan = math.nan
    return [
        Result(
            codec=codec,
            setting=setting,
            photo=str(i),
            width=64,
            height=64,
            bytes=size,
            bpp=size / 512,
            psnr=psnr[setting] + spread * i,
            ssim=nan,
            ms_ssim=nan,
            ssimulacra2=nan,
            vgg19_distance=nan,
            lpips=nan,
            encode_seconds=0.0,
            decode_seconds=0.0,
        )
        for setting, size in sizes.items()
        for i in range(photos)
    ]


def test_comparisons() -> None:
    """Twice the bytes for one decibel more, and at equal bytes half a decibel less: sqrt(2) times the bytes."""
    ours = results_of(OURS, {1: 100, 2: 200, 3: 400}, {1: 20.0, 2: 21.0, 3: 22.0}, 9, 0.3)
    theirs = results_of("other", {5: 141, 6: 282, 7: 564}, {5: 20.0, 6: 21.0, 7: 22.0}, 9, 0.3)
    found = list(comparisons([*ours, *theirs]))
    assert [(row.level, row.codec, row.metric, row.photos) for row in found] == [
        (i, "other", "psnr", 9) for i in (1, 2, 3)
    ]
    for row in found:
        assert (row.times, row.low, row.high) == pytest.approx((1.41, 1.41, 1.41), rel=1e-6)
    better = results_of("other", {5: 300, 6: 600}, {5: 20.5, 6: 21.5}, 9, 0.3)
    assert [row.times for row in comparisons([*ours, *better])] == [0, pytest.approx(3 / 2**0.5), math.inf]
    # Photos differ, so the median lies within an interval.
    varied = results_of("other", {5: 150, 6: 300, 7: 600, 8: 1200}, {5: 19.0, 6: 20.0, 7: 21.0, 8: 22.0}, 9, 0.25)
    row = next(comparisons([*ours, *varied]))
    assert row.low < row.times < row.high


def test_bd_rates() -> None:
    """A codec that always needs 1.41 times the bytes has a BD-rate of 41%; a lower KID is better."""
    ours = means(results_of(OURS, {1: 100, 2: 200, 3: 400}, {1: 20.0, 2: 21.0, 3: 22.0}, 2, 0.3))
    theirs = means(results_of("other", {5: 141, 6: 282, 7: 564}, {5: 20.0, 6: 21.0, 7: 22.0}, 2, 0.3))
    assert {(rate.metric, round(rate.percent, 6)) for rate in bd_rates([*ours, *theirs])} == {("psnr", 41.0)}
    for rows, distances in ((ours, (50.0, 40.0, 30.0)), (theirs, (60.0, 40.0, 20.0))):
        for row, distance in zip(rows, distances, strict=True):
            row["kid"] = distance
    rates = {rate.metric: rate.percent for rate in bd_rates([*ours, *theirs])}
    assert rates["psnr"] == pytest.approx(41)
    assert rates["kid"] == pytest.approx(41)
    times = {row.level: row.times for row in of_sets([*ours, *theirs])}
    assert times == {level: pytest.approx(1.41 * 2**shift) for level, shift in ((1, 0.5), (2, 0.0), (3, -0.5))}
    # A setting that is no better than a smaller one does not count, and curves without a common quality have no rate.
    useless = {**ours[0], "bpp": 0.3, "psnr": 19.0}
    rates = {rate.metric: rate.percent for rate in bd_rates([ours[0], useless, *ours[1:], *theirs])}
    assert rates["psnr"] == pytest.approx(41)
    (rate,) = bd_rates([*ours, *means(results_of("far", {1: 9, 2: 10}, {1: 30, 2: 31}, 2, 0))])
    assert math.isnan(rate.percent)
    # Nor does a sliver of the model's range say much.
    (rate,) = bd_rates([*ours, *means(results_of("near", {1: 9, 2: 10}, {1: 21.8, 2: 31}, 2, 0))])
    assert math.isnan(rate.percent)


def test_kodak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    monkeypatch.setattr(kodak, "SHA256", {"a.png": hashlib.sha256(b"a").hexdigest()})
    kodak.check_kodak(tmp_path)
    (tmp_path / "a.png").write_bytes(b"b")
    with pytest.raises(CompressGANError, match=r"a\.png: not the file"):
        kodak.check_kodak(tmp_path)
    rows = kodak.kodak_table(
        means(results_of(OURS, {1: 20}, {1: 25.0}, 2, 0.0) + results_of("JPEG", {9: 21}, {9: 20.0}, 2, 0))
    )
    assert [row["codec"] for row in rows].count(OURS) == 1
    assert "JPEG" not in {row["codec"] for row in rows}
    assert len(rows) == 1 + len(kodak.PUBLISHED)
    assert [row["bpp"] for row in rows] == sorted(row["bpp"] for row in rows)
    print_table(rows)


def features_of_large_photos(photo: np.ndarray) -> np.ndarray:
    return np.random.default_rng(photo[0, 0, 0]).normal(0, 1, (3 if len(photo) > 50 else 0, 4))


def counting(codec: ComparedCodec, calls: list[str]) -> ComparedCodec:
    """The same codec, which says what it does."""

    def encode(photo: np.ndarray, setting: int) -> bytes:
        calls.append("encode")
        return codec.encode(photo, setting)

    def decode(data: bytes) -> np.ndarray:
        calls.append("decode")
        return codec.decode(data)

    return ComparedCodec(codec.name, codec.settings, encode, decode, codec.encoder)


def test_a_stopped_evaluation_goes_on(photos: dict[str, np.ndarray], tmp_path: Path) -> None:
    calls: list[str] = []
    codec, path = counting(stored(), calls), tmp_path / "kept.sqlite"
    metrics = NetworkMetrics({"lpips": lambda x, y: 0.5}, features_of_large_photos, "weights")
    bench = Bench(photos, Store(path), metrics)
    first = bench.measure(codec, 4)
    bench.encode(codec, 5, "a.png")
    assert calls == ["encode", "decode"] * 2 + ["encode"]
    distance = bench.kid("stored", 4, list(photos))
    assert distance != 0
    assert math.isnan(bench.kid("stored", 4, ["b.png"]))  # too small for a patch

    calls.clear()
    again = Bench({"renamed.png" if name == "a.png" else name: p for name, p in photos.items()}, Store(path), metrics)
    assert [row.photo for row in again.measure(codec, 4)] == ["renamed.png", "b.png"]
    assert [row.psnr for row in again.measure(codec, 4)] == [row.psnr for row in first]
    assert [row.encode_seconds for row in again.measure(codec, 4)] == [row.encode_seconds for row in first]
    assert again.kid("stored", 4, ["renamed.png", "b.png"]) == pytest.approx(distance)
    assert calls == []
    again.measure(codec, 5)
    assert calls == ["decode", "encode", "decode"]

    calls.clear()  # other weights, another version of the codec, another photo: measured anew
    Bench(photos, Store(path)).measure(codec, 4)
    assert calls == ["decode"] * 2
    newer = ComparedCodec("stored", codec.settings, codec.encode, codec.decode, "stored 2")
    Bench(photos, Store(path), metrics).measure(newer, 4)
    Bench({"a.png": photos["a.png"] ^ 1}, Store(path), metrics).measure(codec, 4)
    assert calls == ["decode"] * 2 + ["encode", "decode"] * 3


def test_a_file_of_another_program_is_not_touched(tmp_path: Path) -> None:
    text, database = tmp_path / "text", tmp_path / "database"
    text.write_text("not a database, but long enough to be read as one" * 3)
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE theirs (a)")
    for path in (text, database):
        before = path.read_bytes()
        with pytest.raises(CompressGANError, match=str(path)):
            Store(path)
        assert path.read_bytes() == before


def test_pictures_of_equal_bytes_are_of_the_nearest_size_not_below(photos: dict[str, np.ndarray]) -> None:
    a, b = photos["a.png"], photos["b.png"]
    bench = Bench(photos)
    ours = ComparedCodec(OURS, (), lambda photo, _: bytes(photo.size * 7 // 5), lambda data: a, OURS)
    (row,) = at_equal_bytes(bench, ours, 1, [stored(), stored("fails", fails_on=96)])  # ours gives b.png a wrong size
    sizes = 7 * a.size // 5, 4 + a.size // 2 + a.size
    assert [caption for caption, _ in row] == ["original"] + [
        f"{name}, {size:,} bytes" for name, size in zip((OURS, "stored"), sizes, strict=True)
    ]
    assert row[0][1] is a
    assert ("fails", "a.png") in bench.failures
    many = Bench({str(i): b for i in range(2 * SHOWN)})
    ours = ComparedCodec(OURS, (), lambda photo, _: b"", lambda data: b, OURS)
    assert len(at_equal_bytes(many, ours, 1, [])) == SHOWN


def test_a_codec_that_fails_on_a_photo_is_named_and_the_rest_goes_on(
    photos: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    codec, bench = stored(fails_on=80), Bench(photos)
    (result,) = bench.measure(codec, 4)
    assert (result.photo, result.bytes) == ("a.png", 4 + 64 * 96 * 3 // 2 + 64 * 96 * 3)
    assert [result.photo for result in bench.measure(codec, 5)] == ["a.png"]
    assert bench.failures == {("stored", "b.png"): (4, "no such width here")}
    assert caplog.text.count("stored: b.png: no such width here") == 1
    assert means([result])[0]["photos"] == 1

    everywhere = bench.measure(stored("other"), 4)
    # Another codec's mean leaves out photos on which this one failed.
    assert [row["photos"] for row in means([*everywhere, result])] == [1, 1]
    assert means([everywhere[1], result]) == []

    def unmeasurable(photo: np.ndarray, decoded: np.ndarray) -> float:
        raise MemoryError

    metrics = NetworkMetrics({"vgg19_distance": unmeasurable})
    assert Bench(photos, metrics=metrics).measure(stored(), 4) == []

    def broken(data: bytes) -> np.ndarray:
        return np.zeros((1, 1, 3), np.uint8)

    assert bench.measure(ComparedCodec("broken", range(1, 9), stored().encode, broken, ""), 4) == []
    assert bench.failures["broken", "a.png"] == (4, "decoded to another size, 1 x 1")


@pytest.mark.parametrize("codec", available_codecs()[0], ids=lambda codec: codec.name)
def test_codecs_give_back_what_they_were_given(codec: ComparedCodec, photos: dict[str, np.ndarray]) -> None:
    photo = photos["a.png"]
    ends = codec.settings[0], codec.settings[len(codec.settings) * 3 // 4]
    small, large = (codec.encode(photo, setting) for setting in ends)
    assert len(small) < len(large) < photo.size
    assert psnr(photo, codec.decode(small)) < psnr(photo, codec.decode(large))
    assert psnr(photo, codec.decode(large)) > 25


def test_the_command_line(checkpoint: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for i, (height, width) in enumerate(((80, 112), (165, 170))):
        Image.fromarray(make_photo(height, width, i)).save(folder / f"{i}.png")
    (folder / "text.jpg").write_text("no photo")
    result = run_cli("evaluate.py", "-path", folder, "-o", out, "-r", checkpoint, "--codecs", "JPEG", "WebP")
    assert result.returncode == 1, result.stderr  # because one photo was skipped
    assert "text.jpg: not an image" in result.stderr
    document = json.loads((out / "results.json").read_text())
    jsonschema.validate(document, SCHEMA)
    names = (f"{OURS}, realism 0", f"{OURS}, realism 1")
    assert {row["codec"] for row in document["means"]} == {*names, "JPEG", "WebP"}
    assert f"| {names[0]} |" in result.stdout
    assert f"Times the bytes of {names[1]} for the same SSIM, " in result.stdout
    ours = [row for row in document["results"] if row["codec"] == names[0]]
    assert [(row["photo"], row["setting"]) for row in ours] == [(f"{i}.png", k) for k in range(1, 9) for i in (0, 1)]
    other = [row for row in document["results"] if row["codec"] == names[1]]
    assert [row["bytes"] for row in other] == [row["bytes"] for row in ours]
    assert [row["encode_seconds"] for row in other] == [row["encode_seconds"] for row in ours]
    assert min(row["encode_seconds"] for row in ours) > 0.001  # of the encoding, not of finding an earlier result
    mean = document["means"][0]
    of_level = [row["psnr"] for row in ours if row["setting"] == mean["setting"]]
    assert mean["psnr"] == pytest.approx(np.mean(of_level))
    assert [row["ms_ssim"] is None for row in ours[:2]] == [True, False]
    compared = {(row["model"], row["level"], row["codec"], row["metric"]) for row in document["comparisons"]}
    assert {
        (model, level, codec, "psnr") for model in names for level in range(1, 9) for codec in ("JPEG", "WebP")
    } < compared
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(document["results"])
    assert math.isclose(float(rows[0]["bpp"]), ours[0]["bpp"], rel_tol=1e-5)  # the CSV has 6 digits
    assert Image.open(out / "rate_distortion.png").width > 500
    assert Image.open(out / "crops.png").width > 500
    # A second call makes nothing anew.
    again = run_cli("evaluate.py", "-path", folder, "-o", out, "-r", checkpoint, "--codecs", "JPEG", "WebP")
    assert "files of earlier calls are reused" in again.stdout
    assert json.loads((out / "results.json").read_text()) == document
    # Nor does it take files of another effort for its own.
    run_cli("evaluate.py", "-path", folder, "-o", out, "-r", checkpoint, "--effort", 0, "--codecs", "JPEG")
    unrefined, codec = json.loads((out / "results.json").read_text()), Codec.load(checkpoint, effort=0)
    assert unrefined["model"]["effort"] == 0
    assert [row["bytes"] for row in unrefined["results"][: 2 * codec.levels]] == [
        len(codec.compress(folder / f"{i}.png", level)) for level in range(1, 9) for i in (0, 1)
    ]
    assert unrefined["results"][0]["psnr"] != document["results"][0]["psnr"]
    # The schema is strict: it refuses unknown entries and missing ones.
    for broken in ({**document, "more": 1}, {name: value for name, value in document.items() if name != "means"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


def test_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = ("-o", tmp_path / "out")
    assert_one_error_line(run_cli("evaluate.py", "-path", tmp_path / "none", *out), "none: no such folder")
    assert_one_error_line(run_cli("evaluate.py", "-path", tmp_path / "empty", *out), "empty: no images")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "results.csv").write_text("mine")
    Image.fromarray(make_photo(64, 64)).save(tmp_path / "a.png")
    result = run_cli("evaluate.py", "-path", tmp_path, "-o", tmp_path / "theirs")
    assert_one_error_line(result, "results.csv: would be overwritten", code=2)
    result = run_cli("evaluate.py", "-path", tmp_path, *out, "--codecs", "Flif")
    assert_one_error_line(result, "Flif", "JPEG 2000", code=2)
    assert_one_error_line(run_cli("evaluate.py", "--dataset", "clic", tmp_path, *out), "clic", "kodak", code=2)
    assert_one_error_line(run_cli("evaluate.py", "--dataset", "kodak", tmp_path, *out), "kodim01.png: missing")
