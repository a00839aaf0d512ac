from __future__ import annotations

import math
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compressgan.codec import Codec
from compressgan.coding.arithmetic_coder import CODERS
from compressgan.coding.bitstream import Bitstream, BitstreamError
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from conftest import make_photo


@pytest.fixture(scope="module")
def codec(checkpoint: Path) -> Codec:
    return Codec.load(checkpoint)


@settings(max_examples=25)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size(codec: Codec, height: int, width: int) -> None:
    photo = make_photo(height, width)
    data = codec.compress(photo)
    reconstruction = codec.decompress(data)
    assert (reconstruction.shape, reconstruction.dtype) == (photo.shape, np.uint8)
    symbols, *_, level = codec.from_bytes(data)
    rows, columns, _ = symbols.shape
    whole = codec.reconstruct(symbols, 16 * rows, 16 * columns, level)
    np.testing.assert_array_equal(whole[:height, :width], reconstruction)


def test_decoded_symbols_are_the_encoded_ones(codec: Codec, checkpoint: Path) -> None:
    """The reconstruction is the generator's output for exactly the latents that the encoder chose."""
    photo = make_photo(64, 96)
    model = CompressGAN.load(checkpoint)
    level, realism = tf.constant([codec.default_level - 1]), tf.constant([codec.default_realism])
    direct = model(tf.constant(photo[np.newaxis].astype(np.float32) / 127.5 - 1), level, realism)[0].numpy()
    direct = np.clip(np.rint((direct + 1) * 127.5), 0, 255)
    data = Codec.load(checkpoint, effort=0).compress(photo)
    assert np.max(np.abs(codec.decompress(data) - direct)) <= 1


def test_bound(codec: Codec) -> None:
    payload = 4 * np.log2(5) / 256
    assert codec.bound(1600, 1600) == pytest.approx(payload, rel=2e-3)
    assert codec.bound(1600, 1600) > payload
    assert codec.bound(1, 1) == 8 * (16 + 2 + 1)  # container, 9.3 bits, one byte to spare


@settings(max_examples=25)
@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99), coder=st.sampled_from(CODERS))
def test_no_file_is_larger_than_its_bound(codec: Codec, height: int, width: int, seed: int, coder: str) -> None:
    symbols = np.random.default_rng(seed).integers(0, 5, (-(-height // 16), -(-width // 16), 4), dtype=np.int32)
    data = codec.to_bytes(symbols, height, width, coder=coder)
    assert 8 * len(data) / (height * width) <= codec.bound(height, width)


def test_a_large_file_is_not_larger_than_its_bound(codec: Codec) -> None:
    side = 400
    symbols = np.random.default_rng(0).integers(0, 5, (side, side, 4), dtype=np.int32)
    data = codec.to_bytes(symbols, 16 * side, 16 * side, coder="block")
    assert 8 * len(data) / (16 * side) ** 2 <= codec.bound(16 * side, 16 * side)


def test_files_of_another_model_or_altered_are_refused(codec: Codec, tiny: Config) -> None:
    data = codec.compress(make_photo(32, 32))
    other = Codec(TensorFlowNetworks(CompressGAN(tiny)))
    with pytest.raises(BitstreamError, match="made by another model"):
        other.decompress(data)
    stream = Bitstream.from_bytes(data)
    for change, words in (
        ({"channels": 9}, "number of latent channels"),
        ({"level": 0}, "altered: level 0, but the model has 8"),
        ({"level": 9}, "altered: level 9, but the model has 8"),
    ):
        with pytest.raises(BitstreamError, match=words):
            codec.decompress(replace(stream, **change).to_bytes())


def test_levels_realisms_and_coders_that_do_not_exist(codec: Codec) -> None:
    photo = make_photo(32, 32)
    for level in (0, 9):
        with pytest.raises(ValueError, match=f"level must be in 1 .. 8, not {level}"):
            codec.compress(photo, level)
    for realism in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="realism must be in"):
            codec.decompress(codec.compress(photo), realism)
    with pytest.raises(ValueError, match="coder must be one of context, order0, block, not zip"):
        codec.compress(photo, coder="zip")


def test_no_limit_on_the_rate(codec: Codec) -> None:
    photo = make_photo(32, 32)
    assert codec.compress(photo, bpp=math.inf) == codec.compress(photo, bpp=1e6)


@pytest.mark.parametrize("coder", CODERS)
def test_every_coder_gives_the_same_photo(codec: Codec, coder: str) -> None:
    photo = make_photo(80, 48)
    data = codec.compress(photo, coder=coder)
    assert Bitstream.from_bytes(data).coder == coder
    np.testing.assert_array_equal(codec.decompress(data), codec.decompress(codec.compress(photo)))


def test_symbols_do_not_depend_on_the_networks_precision(codec: Codec, checkpoint: Path, tiny: Config) -> None:
    low = CompressGAN(tiny.replace(precision="mixed_bfloat16"))
    low.set_weights(CompressGAN.load(checkpoint).get_weights())
    data = codec.compress(make_photo(80, 48))
    np.testing.assert_array_equal(Codec(TensorFlowNetworks(low)).from_bytes(data)[0], codec.from_bytes(data)[0])


def test_images_of_other_kinds(codec: Codec) -> None:
    """Pillow images and grey or transparent arrays give the same bytes as the equivalent RGB array."""
    photo = make_photo(40, 60)
    grey, alpha = photo[..., 0], np.random.default_rng(0).integers(0, 256, (40, 60, 1), dtype=np.uint8)
    rgba = np.concatenate([photo, alpha], axis=-1)
    turned = Image.fromarray(photo)
    turned.getexif()[0x0112] = 6  # to be shown a quarter turn clockwise
    on_white = Image.alpha_composite(Image.new("RGBA", (60, 40), "white"), Image.fromarray(rgba)).convert("RGB")
    for image, expected in (
        (Image.fromarray(photo), photo),
        (turned, np.rot90(photo, -1)),
        (grey, np.repeat(grey[..., np.newaxis], 3, axis=-1)),
        (Image.fromarray(grey), np.repeat(grey[..., np.newaxis], 3, axis=-1)),
        (rgba, np.asarray(on_white)),
        (photo[::-1, ::2], photo[::-1, ::2].copy()),
    ):
        assert codec.compress(image) == codec.compress(np.ascontiguousarray(expected))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((20, 20, 3), np.float32), "uint8 values from 0 to 255, not float32"),
        (np.zeros((20, 20, 2), np.uint8), r"not \(20, 20, 2\)"),
        (np.zeros((1, 20, 20, 3), np.uint8), r"not \(1, 20, 20, 3\)"),
        (np.zeros((0, 20, 3), np.uint8), r"not \(0, 20, 3\)"),
        (np.zeros((1, 2**20, 3), np.uint8), "1048576 x 1 pixels does not fit"),
    ],
)
def test_what_is_no_image_is_refused(codec: Codec, image: np.ndarray, words: str) -> None:
    with pytest.raises(CompressGANError, match=words):
        codec.compress(image)


def test_a_damaged_pillow_image_is_one_error(codec: Codec, tmp_path: Path) -> None:
    Image.fromarray(make_photo(100, 100)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:1500])
    with pytest.raises(CompressGANError, match="image: damaged image"):
        codec.compress(Image.open(tmp_path / "cut.jpg"))


def test_a_codec_can_be_sent_to_other_processes(checkpoint: Path, tiny: Config) -> None:
    codec = Codec.load(checkpoint, effort=2, threads=1)
    sent = pickle.dumps(codec)
    assert len(sent) < 1000
    photo = make_photo(70, 90)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(codec.compress, (photo,)) == codec.compress(photo)
    with pytest.raises(TypeError, match=r"only a codec from Codec\.load"):
        pickle.dumps(Codec(TensorFlowNetworks(CompressGAN(tiny))))


def test_tensorflow_out_of_memory_is_a_memory_error(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    for name in ("_encode", "_features", "_upsample", "_loss_and_gradient"):
        monkeypatch.setattr(TensorFlowNetworks, name, exhausted)
    zeros = np.zeros((1, 1, 4), np.float32)
    networks = TensorFlowNetworks(CompressGAN(tiny))
    for call in (
        lambda: networks.encode(zeros, 1),
        lambda: networks.features(zeros, 1, 0.0),
        lambda: networks.upsample(zeros, 1, 0.0),
        lambda: networks.loss_and_gradient(zeros, zeros, zeros[0], 1, 0.1),
    ):
        with pytest.raises(MemoryError, match=r"OOM when allocating$"):
            call()
