from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressgan.coding.arithmetic_coder import CODERS
from compressgan.coding.bitstream import Bitstream, BitstreamError
from compressgan.geometry import MAX_SIDE

STREAM = Bitstream(
    300, 16383, channels=8, level=5, fingerprint=b"\x01\x02\x03\x04", coder="order0", payload=b"payload!"
)


@given(
    st.integers(1, MAX_SIDE),
    st.integers(1, 256),
    st.integers(1, 255),
    st.integers(1, 255),
    st.sampled_from(CODERS),
    st.binary(max_size=40),
)
def test_round_trip(height: int, width: int, channels: int, level: int, coder: str, payload: bytes) -> None:
    stream = Bitstream(height, width, channels, level, b"abcd", coder, payload)
    assert Bitstream.from_bytes(stream.to_bytes()) == stream


def test_container_is_18_bytes_below_16384_pixels_a_side() -> None:
    assert len(Bitstream(16383, 16383, 8, 1, bytes(4), "context", b"").to_bytes()) == 18


def test_layout() -> None:
    assert (
        STREAM.to_bytes()[:-4].hex() == "43474e" + "12" + "08" + "05" + "01020304" + "ac02" + "ff7f" + b"payload!".hex()
    )


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (5, MAX_SIDE + 1), (100_000, 100_000)])
def test_sizes_that_do_not_fit(height: int, width: int) -> None:
    with pytest.raises(BitstreamError, match="does not fit"):
        Bitstream(height, width, 8, 1, bytes(4), "context", b"").to_bytes()


def test_every_truncation_is_noticed() -> None:
    data = STREAM.to_bytes()
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            Bitstream.from_bytes(data[:length])
    with pytest.raises(BitstreamError):
        Bitstream.from_bytes(data + b"\0")


def test_every_flipped_bit_is_noticed() -> None:
    data = STREAM.to_bytes()
    for bit in range(8 * len(data)):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BitstreamError):
            Bitstream.from_bytes(bytes(altered))


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    for candidate in (data, b"CGN" + data):
        with pytest.raises(BitstreamError):
            Bitstream.from_bytes(candidate)
