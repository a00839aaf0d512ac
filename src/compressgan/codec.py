"""Codec: photo <-> bytes. This is the library's API; see the example in `compressgan/__init__.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from compressgan.checkpoint import shipped_checkpoint
from compressgan.coding import arithmetic_coder
from compressgan.coding.bitstream import Bitstream, BitstreamError, assert_size_fits
from compressgan.config import DEFAULT_EFFORT
from compressgan.errors import CompressGANError
from compressgan.geometry import STRIDE, latent_size
from compressgan.images.pixels import to_float, to_uint8
from compressgan.images.reading import as_photo
from compressgan.images.tiling import run_in_tiles
from compressgan.refining import Refiner
from compressgan.runtime import Networks, load_networks

DEFAULT_MEMORY = 2**30
MIN_TILE = 8  # latent positions per side; smaller tiles would be nearly all halo


class Codec:
    """Compresses photos with one model.

    Args:
        networks: the model's networks.
        memory: approximate limit on the networks' memory, in bytes. Photos that need more are processed in tiles, with
            the same result up to rounding. Refinement uses a fixed amount of memory, independent of this limit.
        effort: number of refinement steps per compressed photo. With 0, or for models with instance norm, the encoder's
            latents are used unchanged.
    """

    def __init__(self, networks: Networks, memory: int = DEFAULT_MEMORY, effort: int = DEFAULT_EFFORT) -> None:
        self._networks = networks
        self._config = networks.config
        self._refiner = Refiner(networks, effort) if effort > 0 and self._config.norm != "instance" else None
        self._positions = memory // networks.bytes_per_position
        self._centers = networks.centers
        self.levels = self._config.levels
        self.prior = networks.prior
        self.fingerprint = networks.fingerprint

    @classmethod
    def load(
        cls, checkpoint: str | Path | None = None, memory: int = DEFAULT_MEMORY, effort: int = DEFAULT_EFFORT
    ) -> Codec:
        """Loads the model of a checkpoint folder, by default the shipped one.

        Args:
            checkpoint: the folder.
            memory, effort: as in the constructor.

        Raises:
            CompressGANError: the checkpoint is missing or damaged.
        """
        return cls(load_networks(shipped_checkpoint() if checkpoint is None else Path(checkpoint)), memory, effort)

    def bound(self, height: int, width: int) -> float:
        """Returns an upper bound on the bits per pixel of a photo's `.bin` file.

        It counts the container, and all symbols as equally likely. Without the container, it is C log2(L) / 256 if the
        sides are multiples of 16.
        """
        channels = self._config.latent_channels
        rows, columns = latent_size(height, width)
        payload = math.ceil(rows * columns * channels * math.log2(self.levels) / 8) + 1  # the coder may need one more
        container = len(Bitstream(height, width, channels, self.fingerprint, "block", b"").to_bytes())
        return 8 * (payload + container) / (height * width)

    def compress(self, image: np.ndarray | Image.Image, coder: str = "context") -> bytes:
        """Compresses an image of any size into the bytes of a `.bin` file.

        Args:
            image: (H, W, 3) uint8 RGB, or anything else that `images.reading.as_photo` accepts, such as Pillow images.
            coder: one of `arithmetic_coder.CODERS`.

        Raises:
            CompressGANError: the image is not of this kind, or has more pixels than the format or the memory allows.
        """
        photo = as_photo(image)
        return self.to_bytes(self.symbols(photo), *photo.shape[:2], coder)

    def decompress(self, data: bytes) -> np.ndarray:
        """Reconstructs the photo (H, W, 3) uint8 RGB from the bytes of a `.bin` file.

        Raises:
            BitstreamError: the data is not a complete, unaltered `.bin` file of this model.
        """
        return self.reconstruct(*self.from_bytes(data))

    def latents(self, photo: np.ndarray) -> np.ndarray:
        """Returns the encoder's latents of a photo (H, W, 3) uint8: (ceil(H / 16), ceil(W / 16), C) float32.

        Raises:
            CompressGANError: the photo has more pixels than the format or the memory allows.
        """
        return self._encode(_padded(photo))

    def symbols(self, photo: np.ndarray) -> np.ndarray:
        """Returns the refined, quantized latents of a photo (H, W, 3) uint8: (ceil(H / 16), ceil(W / 16), C) int32.

        Raises:
            CompressGANError: the photo has more pixels than the format or the memory allows.
        """
        padded = _padded(photo)
        latents = self._encode(padded)
        if self._refiner:
            latents = self._refiner(latents, padded)
        return self.quantize(latents)

    def quantize(self, latents: np.ndarray) -> np.ndarray:
        """Returns the symbol of each latent, int32: the index of the nearest center."""
        return np.argmin(np.square(latents[..., np.newaxis] - self._centers), axis=-1).astype(np.int32)

    def to_bytes(self, symbols: np.ndarray, height: int, width: int, coder: str = "context") -> bytes:
        """Returns the `.bin` file of the symbols of a photo of height x width pixels.

        Raises:
            BitstreamError: the format cannot hold this size.
        """
        coder, payload = arithmetic_coder.encode(symbols, self.levels, self.prior, coder)
        return Bitstream(height, width, symbols.shape[-1], self.fingerprint, coder, payload).to_bytes()

    def from_bytes(self, data: bytes) -> tuple[np.ndarray, int, int]:
        """Decodes a photo's symbols, height and width: the inverse of `to_bytes`.

        Raises:
            BitstreamError: as for `decompress`.
        """
        stream = Bitstream.from_bytes(data)
        if stream.fingerprint != self.fingerprint:
            raise BitstreamError(
                f"made by another model (fingerprint {stream.fingerprint.hex()}; "
                f"this checkpoint has {self.fingerprint.hex()})"
            )
        if stream.channels != self._config.latent_channels:
            raise BitstreamError("altered: the number of latent channels differs from the model's")
        shape = (*latent_size(stream.height, stream.width), stream.channels)
        try:
            symbols = arithmetic_coder.decode(stream.payload, shape, self.levels, self.prior, stream.coder)
        except ValueError as error:
            raise BitstreamError(f"altered: {error}") from None
        return symbols, stream.height, stream.width

    def reconstruct(self, symbols: np.ndarray, height: int, width: int) -> np.ndarray:
        """Returns the photo (height, width, 3) uint8 that the generator reconstructs from its symbols."""

        def generator(symbols: np.ndarray) -> np.ndarray:
            return to_uint8(self._networks.generate(self._centers[symbols]))

        return self._run(generator, symbols, (1, STRIDE), self._networks.generator_halo)[:height, :width]

    def _encode(self, padded: np.ndarray) -> np.ndarray:
        def encoder(pixels: np.ndarray) -> np.ndarray:
            return self._networks.encode(to_float(pixels))

        return self._run(encoder, padded, (STRIDE, 1), self._networks.encoder_halo)

    def _run(
        self, network: Callable[[np.ndarray], np.ndarray], x: np.ndarray, block: tuple[int, int], halo: int
    ) -> np.ndarray:
        """Runs a network on the whole of `x` if memory allows, otherwise in tiles."""
        rows, columns = x.shape[0] // block[0], x.shape[1] // block[0]
        if rows * columns <= self._positions:
            return network(x)
        if self._config.norm == "instance":
            raise CompressGANError(
                f"{columns * STRIDE} x {rows * STRIDE} pixels need more memory than allowed; a model with instance "
                "norm cannot process a photo in tiles, because the norm depends on the whole photo"
            )
        side = max(MIN_TILE, math.isqrt(self._positions) - 2 * halo)
        return run_in_tiles(network, x, block, halo, side)


def _padded(photo: np.ndarray) -> np.ndarray:
    """Returns the photo, padded by reflection to sides that are multiples of 16.

    Raises:
        CompressGANError: the photo has more pixels than the format allows.
    """
    height, width = photo.shape[:2]
    assert_size_fits(height, width)
    return np.pad(photo, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="reflect")
