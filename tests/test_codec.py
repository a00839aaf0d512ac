from __future__ import annotations

from pathlib import Path

from settings import Config

import numpy as np
import pytest
from conftest import make_photo
from hypothesis import given, settings
from hypothesis import strategies as st

from arithmetic_coder import CODERS
from bitstream import Bitstream, BitstreamError
from codec import Codec
from model import CompressGAN


@pytest.fixture(scope="module")
def codec(checkpoint: Path) -> Codec:
    return Codec.load(checkpoint)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size(codec: Codec, height: int, width: int) -> None:
    photo = make_photo(height, width)
    data = codec.compress(photo)
    reconstruction = codec.decompress(data)
    assert (reconstruction.shape, reconstruction.dtype) == (photo.shape, np.uint8)
    np.testing.assert_array_equal(codec.decompress(data), reconstruction)


def test_decoded_symbols_are_the_encoded_ones(codec: Codec, checkpoint: Path) -> None:
    """The reconstruction is the generator's picture of the very latents that the encoder chose."""
    photo = make_photo(64, 96)
    model = CompressGAN.load(checkpoint)
    direct = model(photo[np.newaxis].astype(np.float32) / 127.5 - 1)[0].numpy()
    direct = np.clip(np.rint((direct + 1) * 127.5), 0, 255)
    assert np.max(np.abs(codec.decompress(codec.compress(photo)) - direct)) <= 1


def test_bound(codec: Codec) -> None:
    assert codec.bound(64, 160) == pytest.approx(0.0363, abs=5e-5)
    assert codec.bound(1, 1) == pytest.approx(4 * np.log2(5))


def test_files_of_another_model_or_altered_are_refused(codec: Codec, tiny: Config) -> None:
    data = codec.compress(make_photo(32, 32))
    other = Codec(CompressGAN(tiny))
    with pytest.raises(BitstreamError, match="made by another model"):
        other.decompress(data)
    stream = Bitstream.from_bytes(data)
    wrong = Bitstream(stream.height, stream.width, 9, stream.fingerprint, stream.coder, stream.payload)
    with pytest.raises(BitstreamError, match="number of latent channels"):
        codec.decompress(wrong.to_bytes())


@pytest.mark.parametrize("coder", CODERS)
def test_every_coder_gives_the_same_photo(codec: Codec, coder: str) -> None:
    photo = make_photo(80, 48)
    data = codec.compress(photo, coder)
    assert Bitstream.from_bytes(data).coder == coder
    np.testing.assert_array_equal(codec.decompress(data), codec.decompress(codec.compress(photo)))


def test_symbols_do_not_depend_on_the_networks_precision(codec: Codec, checkpoint: Path, tiny: Config) -> None:
    low = CompressGAN(tiny.replace(precision="mixed_bfloat16"))
    low.set_weights(CompressGAN.load(checkpoint).get_weights())
    data = codec.compress(make_photo(80, 48))
    np.testing.assert_array_equal(Codec(low).decompress_symbols(data), codec.decompress_symbols(data))
