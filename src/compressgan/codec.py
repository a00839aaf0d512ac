"""Codec: photo <-> bytes. The Python API of the project.

import sys; sys.path.append("path/to/CompressGAN/src")
from codec import Codec
codec = Codec.load("path/to/CompressGAN/checkpoints/default")
data = codec.compress(image)      # NumPy (H, W, 3) uint8 or a Pillow image -> bytes of a .bin file
photo = codec.decompress(data)    # -> NumPy (H, W, 3) uint8
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from settings import DEFAULT_EFFORT, STRIDE

import numpy as np
from PIL import Image

import arithmetic_coder
from bitstream import Bitstream, BitstreamError, assert_size_fits
from errors import CompressGANError
from model import CompressGAN
from photo import as_photo, to_float, to_uint8
from refine import Refiner
from tiling import bytes_per_position, encoder_halo, generator_halo, run_in_tiles

DEFAULT_MEMORY = 2**30
MIN_TILE = 8  # latent positions a side; smaller ones would be nearly all halo


class Codec:
    """Compresses photos with one model.

    Args:
        model: the networks.
        fingerprint: 4 bytes written into every file and compared when decoding; the model's own by default.
        memory: bytes that the networks may take, about; larger photos are worked on in tiles, with the same result but
            for rounding. Refining takes the same for every photo, whatever this is.
        effort: steps of refining the latents of each photo that is compressed; 0: they stay as the encoder gives them,
            as they do in models with instance norm.
    """

    def __init__(
        self,
        model: CompressGAN,
        fingerprint: bytes | None = None,
        memory: int = DEFAULT_MEMORY,
        effort: int = DEFAULT_EFFORT,
    ) -> None:
        self._model = model
        self._refiner = Refiner(model, effort) if effort > 0 and model.config.norm != "instance" else None
        self._config = model.config
        self.levels = model.config.levels
        self.prior = model.prior.integers()
        self._fingerprint = model.fingerprint() if fingerprint is None else fingerprint
        self._positions = memory // bytes_per_position(model.config)

    @classmethod
    def load(cls, checkpoint: str | Path, memory: int = DEFAULT_MEMORY, effort: int = DEFAULT_EFFORT) -> Codec:
        """Loads the model of a checkpoint folder; `memory` and `effort` as in the constructor.

        Raises:
            CompressGANError: the checkpoint is missing or damaged.
        """
        return cls(CompressGAN.load(Path(checkpoint)), memory=memory, effort=effort)

    def bound(self, height: int, width: int) -> float:
        """Returns the most bits per pixel that a photo's latents can need, the container's 17 bytes aside.

        That is C log2(L) / 256 where the sides are multiples of 16.
        """
        rows, columns = _latent_size(height, width)
        return rows * columns * self._config.latent_channels * math.log2(self.levels) / (height * width)

    def compress(self, image: np.ndarray | Image.Image, coder: str = "context") -> bytes:
        """Compresses an image of any size to the bytes of a `.bin` file.

        Args:
            image: (H, W, 3) uint8 RGB, or another kind that `photo.as_photo` takes, among them Pillow images.
            coder: one of `arithmetic_coder.CODERS`.

        Raises:
            CompressGANError: not such an image, or more pixels than the format or the memory allows.
        """
        photo = as_photo(image)
        return self.to_bytes(self.symbols(photo), *photo.shape[:2], coder)

    def decompress(self, data: bytes) -> np.ndarray:
        """Reconstructs the photo (H, W, 3) uint8 RGB from the bytes of a `.bin` file.

        Raises:
            BitstreamError: not a whole, unaltered `.bin` of this model.
        """
        return self.reconstruct(*self.from_bytes(data))

    def symbols(self, photo: np.ndarray) -> np.ndarray:
        """Returns the quantized latents of a photo (H, W, 3) uint8: (ceil(H / 16), ceil(W / 16), C) int32.

        Raises:
            CompressGANError: more pixels than the format or the memory allows.
        """
        padded = _padded(photo)
        latents = self._encode(padded)
        if self._refiner:
            latents = self._refiner(latents, padded)
        return self.quantize(latents)

    def quantize(self, latents: np.ndarray) -> np.ndarray:
        """Returns the symbols, int32, of latents, float32 of the same shape."""
        return self._model.quantizer.indices(latents).numpy()

    def to_bytes(self, symbols: np.ndarray, height: int, width: int, coder: str = "context") -> bytes:
        """Returns the `.bin` file of the symbols of a photo of height x width pixels.

        Raises:
            BitstreamError: a size that the format cannot hold.
        """
        coder, payload = arithmetic_coder.encode(symbols, self.levels, self.prior, coder)
        return Bitstream(height, width, symbols.shape[-1], self._fingerprint, coder, payload).to_bytes()

    def from_bytes(self, data: bytes) -> tuple[np.ndarray, int, int]:
        """Decodes the symbols of a photo and its height and width: the inverse of `to_bytes`.

        Raises:
            BitstreamError: as `decompress`.
        """
        stream = Bitstream.from_bytes(data)
        if stream.fingerprint != self._fingerprint:
            raise BitstreamError(
                f"made by another model (fingerprint {stream.fingerprint.hex()}, "
                f"this checkpoint's is {self._fingerprint.hex()})"
            )
        if stream.channels != self._config.latent_channels:
            raise BitstreamError("altered: the number of latent channels is not the model's")
        shape = (*_latent_size(stream.height, stream.width), stream.channels)
        try:
            symbols = arithmetic_coder.decode(stream.payload, shape, self.levels, self.prior, stream.coder)
        except ValueError as error:
            raise BitstreamError(f"altered: {error}") from None
        return symbols, stream.height, stream.width

    def reconstruct(self, symbols: np.ndarray, height: int, width: int) -> np.ndarray:
        """Returns the photo (height, width, 3) uint8 that the generator paints from a photo's symbols."""

        def generator(symbols: np.ndarray) -> np.ndarray:
            return to_uint8(self._model.indices_to_photo(symbols[np.newaxis])[0].numpy())

        return self._run(generator, symbols, (1, STRIDE), generator_halo(self._config))[:height, :width]

    def latents(self, photo: np.ndarray) -> np.ndarray:
        """Returns the latents that the encoder gives a photo (H, W, 3) uint8: (ceil(H / 16), ceil(W / 16), C) float32.

        Raises:
            CompressGANError: more pixels than the format or the memory allows.
        """
        return self._encode(_padded(photo))

    def _encode(self, padded: np.ndarray) -> np.ndarray:

        def encoder(pixels: np.ndarray) -> np.ndarray:
            return self._model.photo_to_latents(to_float(pixels)[np.newaxis])[0].numpy()

        return self._run(encoder, padded, (STRIDE, 1), encoder_halo(self._config))

    def _run(
        self, network: Callable[[np.ndarray], np.ndarray], x: np.ndarray, block: tuple[int, int], halo: int
    ) -> np.ndarray:
        """Runs a network on the whole of `x` where memory allows, else in tiles."""
        rows, columns = x.shape[0] // block[0], x.shape[1] // block[0]
        if rows * columns <= self._positions:
            return network(x)
        if self._config.norm == "instance":
            raise CompressGANError(
                f"{columns * STRIDE} x {rows * STRIDE} pixels need more memory than allowed, and a model with instance "
                "norm cannot work in tiles, since its norm depends on the whole photo: allow more memory"
            )
        side = max(MIN_TILE, math.isqrt(self._positions) - 2 * halo)
        return run_in_tiles(network, x, block, halo, side)


def _padded(photo: np.ndarray) -> np.ndarray:
    """Returns the photo with sides that are multiples of 16.

    Raises:
        CompressGANError: more pixels than the format allows.
    """
    height, width = photo.shape[:2]
    assert_size_fits(height, width)
    return np.pad(photo, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="reflect")


def _latent_size(height: int, width: int) -> tuple[int, int]:
    """Returns rows and columns of the latents of a photo."""
    return -(-height // STRIDE), -(-width // STRIDE)
