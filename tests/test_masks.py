"""Regions that matter: masks of photos."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compressgan import Codec, CompressGANError
from compressgan.coding.arithmetic_coder import FREE, encode, with_likeliest
from compressgan.evaluation.metrics import psnr, region_psnr
from compressgan.images.masks import free_positions, importance, read_mask
from compressgan.images.reading import read_photo
from conftest import ROOT, assert_one_error_line, make_photo, run_cli
from test_arithmetic_coder import random_prior


def test_white_matters_and_black_does_not() -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :8], mask[:, 8:12], mask[:, 12:16] = 255, 127, 7
    found = importance(mask, 10, 20)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [1.0] * 8 + [127 / 255] * 4 + [0.0] * 8)
    larger = importance(Image.fromarray(mask), 20, 40)
    assert larger.shape == (20, 40)
    np.testing.assert_allclose(larger[:, :14], 1)
    np.testing.assert_array_equal(importance(mask > 7, 10, 20), mask > 7)
    with pytest.raises(CompressGANError, match="the mask is black everywhere"):
        importance(np.full((5, 5), 7, np.uint8), 10, 20)
    dot = np.zeros((400, 400), np.uint8)
    dot[0, 0] = 255
    with pytest.raises(CompressGANError, match="the mask is black everywhere once it is scaled"):
        importance(dot, 4, 4)  # not black everywhere until it is reduced
    cut_out = np.dstack([mask] * 3 + [mask])
    with pytest.raises(CompressGANError, match="a mask cannot be transparent"):
        importance(cut_out, 10, 20)
    cut_out[..., 3] = 255
    np.testing.assert_array_equal(importance(Image.fromarray(cut_out), 10, 20), found)


def test_masks_in_files(tmp_path: Path) -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :8] = 255
    tifffile.imwrite(tmp_path / "double.tif", mask / 255.0)  # which Pillow does not open
    np.testing.assert_array_equal(read_mask(tmp_path / "double.tif"), mask)
    Image.fromarray(np.dstack([mask] * 4)).save(tmp_path / "cut_out.png")
    with pytest.raises(CompressGANError, match=r"cut_out.png: a mask cannot be transparent"):
        read_mask(tmp_path / "cut_out.png")


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_position_is_free_if_it_and_its_neighbours_are_black(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matters = np.zeros((16 * rows, 16 * columns), np.float32)
    pixels = [(rng.integers(16 * rows), rng.integers(16 * columns)) for _ in range(rng.integers(0, 3))]
    for pixel in pixels:
        matters[pixel] = 0.01
    for (row, column), free in np.ndenumerate(free_positions(matters)):
        assert free == all(max(abs(y // 16 - row), abs(x // 16 - column)) > 1 for y, x in pixels)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_free_symbols_become_cheap_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = rng.integers(0, 5, (12, 9, 8), dtype=np.int32)
    prior = random_prior(8, 5, seed=seed)
    free = rng.random(symbols.shape) < 0.7
    found = with_likeliest(np.where(free, FREE, symbols), 5, prior)
    np.testing.assert_array_equal(found[~free], symbols[~free])
    assert found.min() >= 0
    np.testing.assert_array_equal(with_likeliest(symbols, 5, prior), symbols)
    sizes = [len(encode(these, 5, prior)[1]) for these in (found, symbols)]
    assert sizes[0] < 0.85 * sizes[1]


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return read_photo(ROOT / "images" / "portrait.jpg")[40:264, 60:310]


@pytest.fixture(scope="module")
def left(portrait: np.ndarray) -> np.ndarray:
    """A mask whose left third is white."""
    mask = np.zeros(portrait.shape[:2], np.uint8)
    mask[:, : mask.shape[1] // 3] = 255
    return mask


def test_bytes_go_where_it_matters(portrait: np.ndarray, left: np.ndarray) -> None:
    codec = Codec.load()
    plain, masked = codec.compress(portrait), codec.compress(portrait, mask=left)
    matters = importance(left, *left.shape)
    before, after = (region_psnr(portrait, codec.decompress(data, 0.0), matters) for data in (plain, masked))
    assert len(masked) < 0.65 * len(plain)
    assert after > before - 0.1
    assert psnr(portrait, codec.decompress(masked, 0.0)) < psnr(portrait, codec.decompress(plain, 0.0)) - 3
    everything = np.full_like(left, 255)
    assert codec.compress(portrait, mask=everything) == plain


def test_a_grey_region_counts_less(portrait: np.ndarray, left: np.ndarray) -> None:
    """Refining weighs errors by the mask, where no position is free, too."""
    codec = Codec.load(effort=8)
    dim = np.maximum(left, 20)
    matters = importance(left, *left.shape)
    elsewhere = importance(255 - left, *left.shape)
    plain, masked = (codec.compress(portrait, mask=mask) for mask in (None, dim))
    assert len(masked) < len(plain)
    pictures = [codec.decompress(data, 0.0) for data in (plain, masked)]
    losses = [
        np.subtract(*(region_psnr(portrait, picture, region) for picture in pictures))
        for region in (matters, elsewhere)
    ]
    assert losses[1] > 0.3 + max(losses[0], 0)


def test_the_psnr_of_a_region() -> None:
    photo = make_photo(300, 40)
    other = photo.copy()
    other[290:, :20] ^= 8
    matters = np.zeros((300, 40), np.float32)
    matters[290:, :10], matters[:10] = 1, 1
    expected = psnr(
        np.concatenate([photo[290:, :10].reshape(-1, 1, 3), photo[:10].reshape(-1, 1, 3)]),
        np.concatenate([other[290:, :10].reshape(-1, 1, 3), other[:10].reshape(-1, 1, 3)]),
    )
    assert region_psnr(photo, other, matters) == pytest.approx(expected)
    assert region_psnr(photo, photo, matters) == np.inf


def test_masks_on_the_command_line(checkpoint: Path, tmp_path: Path) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for folder in (photos / "sub", masks / "sub"):
        folder.mkdir(parents=True)
    photo, mask = make_photo(160, 200), np.zeros((80, 100), np.uint8)
    mask[:, :30] = 255
    for name in ("a.b.jpg", "sub/c.png", "d.png"):
        Image.fromarray(photo).save(photos / name)
    Image.fromarray(mask).save(masks / "a.b.png")
    Image.fromarray(mask[:40]).save(masks / "sub" / "c.webp", lossless=True)
    call = ("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "out")
    result = run_cli(*call, "--mask", masks)
    assert result.returncode == 0, result.stderr
    assert f"{masks / 'sub' / 'c.webp'}: 100 x 40 pixels are stretched to 200 x 160" in result.stderr
    assert f"{photos / 'd.png'}: no mask {masks / 'd'}.*, so the whole photo matters" in result.stderr
    assert "dB where it matters)" in result.stdout
    codec = Codec.load(checkpoint)
    assert (tmp_path / "out" / "a.b.bin").read_bytes() == codec.compress(photos / "a.b.jpg", mask=masks / "a.b.png")
    rows = {row["file"]: row for row in csv.DictReader((tmp_path / "out" / "summary.csv").open())}
    shown = np.asarray(Image.open(tmp_path / "out" / "sub" / "c_reconstructed.png"))
    expected = region_psnr(photo, shown, importance(masks / "sub" / "c.webp", 160, 200))
    assert float(rows["sub/c.png"]["region_psnr"]) == pytest.approx(expected, abs=1e-3)
    assert rows["d.png"]["region_psnr"] == ""

    Image.fromarray(mask).save(masks / "d.bmp")
    Image.fromarray(mask).save(masks / "d.webp")
    (masks / "a.b.png").write_bytes(b"no picture")
    one = masks / "sub" / "c.webp"
    Image.fromarray(mask * 0).save(one)
    result = run_cli(*call, "--bin-only", "--mask", masks)
    assert result.returncode == 1
    for line in (
        f"{photos / 'd.png'}: several masks: {masks / 'd.bmp'}, {masks / 'd.webp'}",
        f"{masks / 'a.b.png'}: not an image that can be read",
        f"{masks / 'sub' / 'c.webp'}: the mask is black everywhere",
    ):
        assert line in result.stderr
    assert_one_error_line(run_cli(*call, "--mask", tmp_path / "none"), "none: no such file or folder")

    (photos / "masks").mkdir()
    for name in ("d.png", "d.jpg"):
        Image.fromarray(photo).save(photos / name)
        Image.fromarray(mask).save(photos / "masks" / name)
    call = ("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "more", "--bin-only")
    result = run_cli(*call, "--mask", photos / "masks")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "more").glob("**/*.bin")) == [
        "a.b.bin",
        "c.bin",
        "d.jpg.bin",
        "d.png.bin",
    ]
    result = run_cli("inference.py", "-r", checkpoint, "-c", tmp_path / "out", "-o", tmp_path, "--mask", masks)
    assert_one_error_line(result, "only for compressing, which needs -path", code=2)


def test_a_mask_counts_with_a_size_too(portrait: np.ndarray) -> None:
    left = np.zeros(portrait.shape[:2], np.uint8)
    left[:, :125] = 255
    codec, matters = Codec.load(effort=1), importance(left, *left.shape)
    most = len(codec.compress(portrait, mask=left))
    plain, masked = (codec.compress(portrait, size=most, mask=mask) for mask in (None, left))
    assert len(masked) <= most
    quality = [region_psnr(portrait, codec.decompress(data, 0.0), matters) for data in (plain, masked)]
    assert quality[1] > quality[0] + 0.5
