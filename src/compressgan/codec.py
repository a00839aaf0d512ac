"""Codec: photo <-> bytes. This is the library's API; see the example in `compressgan/__init__.py`."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compressgan.checkpoint import shipped_checkpoint
from compressgan.coding import arithmetic_coder
from compressgan.coding.bitstream import Bitstream, BitstreamError, assert_size_fits
from compressgan.coding.context_model import Prior
from compressgan.config import DEFAULT_EFFORT, DEFAULT_MEMORY
from compressgan.errors import CompressGANError
from compressgan.footprint import (
    bytes_per_position,
    encoder_halo,
    generator_halo,
    trunk_bytes_per_position,
    upsampling_halo,
)
from compressgan.geometry import STRIDE, bits_per_pixel, latent_size
from compressgan.images.masks import free_positions, importance
from compressgan.images.pixels import to_float, to_uint8
from compressgan.images.reading import ImageLike, as_photo
from compressgan.images.tiling import run_in_tiles
from compressgan.refining import Refiner
from compressgan.runtime import Networks, load_networks
from compressgan.targeting import fit

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
        self._positions = memory // bytes_per_position(networks.config)
        self._trunk_positions = memory // trunk_bytes_per_position(networks.config)
        self.centers = networks.centers
        self._priors: dict[int, Prior] = {}
        self.levels = self._config.levels
        self.default_level = self._config.default_level
        self.realism = self._config.realism
        self.default_realism = self._config.default_realism
        self.fingerprint = networks.fingerprint
        self._loaded_with: tuple | None = None

    def __reduce__(self) -> tuple:
        """Pickles what `load` was called with, for sending a codec to other processes. They load the model again."""
        if self._loaded_with is None:
            raise TypeError("only a codec from Codec.load can be pickled")
        return Codec.load, self._loaded_with

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        memory: int = DEFAULT_MEMORY,
        effort: int = DEFAULT_EFFORT,
        threads: int | None = None,
    ) -> Codec:
        """Loads the model of a checkpoint folder, by default the shipped one.

        Args:
            checkpoint: the folder.
            memory, effort: as in the constructor.
            threads: how many threads the networks use; by default, one for each CPU.

        Raises:
            CompressGANError: the checkpoint is missing or damaged, or needs TensorFlow, which is missing.
        """
        folder = shipped_checkpoint() if checkpoint is None else Path(checkpoint)
        codec = cls(load_networks(folder, threads), memory, effort)
        codec._loaded_with = (folder.resolve(), memory, effort, threads)
        return codec

    def bound(self, height: int, width: int) -> float:
        """Returns an upper bound on the bits per pixel of a photo's `.bin` file.

        It counts the container, and all symbols as equally likely. Without the container, it is C log2(L) / 256 if the
        sides are multiples of 16.
        """
        channels = self._config.latent_channels
        rows, columns = latent_size(height, width)
        bits = rows * columns * channels * math.log2(len(self.centers))
        payload = math.ceil(bits / 8 * 1.0001) + 1  # the coder rounds probabilities, and ends with a whole byte
        container = len(Bitstream(height, width, channels, 1, self.fingerprint, "block", b"").to_bytes())
        return bits_per_pixel(payload + container, height, width)

    def compress(
        self,
        image: ImageLike,
        level: int | None = None,
        *,
        size: int | None = None,
        bpp: float | None = None,
        mask: ImageLike | None = None,
        coder: str = "context",
    ) -> bytes:
        """Compresses an image of any size into the bytes of a `.bin` file.

        Args:
            image: (H, W, 3) uint8 RGB, or anything else that `images.reading.as_photo` accepts: the path of a file,
                which is read most carefully, or a Pillow image.
            level: from 1, the smallest files, to `levels`; by default `default_level`.
            size: instead of a level, the most bytes that the file may have.
            bpp: instead of a level, the most bits per pixel.
            mask: which parts matter: a picture like the image, but of any size, white where quality matters and black
                where it does not. By default, all of it matters.
            coder: one of `arithmetic_coder.CODERS`.

        Returns:
            The file. For a size, it has at least 95% of that where the model can; if even the smallest file is larger,
            it is that one. Compare its length with the size. Without refinement, only the level is chosen. It takes up
            to twenty times as long as a level.

        Raises:
            CompressGANError: the image or the mask is not of this kind, the mask is black everywhere, or the image has
                more pixels than the format or the memory allows.
            MemoryError: the networks need more than there is; less is possible with a smaller `memory`.
            ValueError: there is no such level or coder, or more than one of level, size and bpp is given.
        """
        _assert_coder(coder)
        if sum(given is not None for given in (level, size, bpp)) > 1:
            raise ValueError("give only one of level, size and bpp")
        photo = as_photo(image)
        height, width = photo.shape[:2]
        most = math.floor(min(bpp * height * width / 8, sys.maxsize)) if bpp is not None else size

        if most is None:
            return self.to_bytes(self.symbols(photo, level, mask), height, width, level, coder=coder)
        matters, padded = _padded_importance(mask, photo), _padded(photo)
        latents = functools.cache(lambda level: self._encode(padded, level))

        def encode(level: int, rate_factor: float) -> bytes:
            symbols = self._refined(latents(level), padded, matters, level, rate_factor)
            return self.to_bytes(symbols, height, width, level, coder=coder)

        return fit(encode, self.levels, max(1, most))

    def decompress(self, data: bytes, realism: float | None = None) -> np.ndarray:
        """Reconstructs the photo (H, W, 3) uint8 RGB from the bytes of a `.bin` file.

        Args:
            data: the file's bytes.
            realism: from 0, closest to the photo, to 1, most like a photograph; by default `default_realism`.

        Raises:
            BitstreamError: the data is not a complete, unaltered `.bin` file of this model.
            MemoryError: as for `compress`.
            ValueError: the realism is not in [0, 1].
        """
        return self.reconstruct(*self.from_bytes(data), realism)

    def latents(self, photo: np.ndarray, level: int | None = None) -> np.ndarray:
        """Returns the encoder's latents of a photo (H, W, 3) uint8: (ceil(H / 16), ceil(W / 16), C) float32.

        Args:
            photo: the photo.
            level: as for `compress`.

        Raises:
            CompressGANError: the photo has more pixels than the format or the memory allows.
            ValueError: the model has no such level.
        """
        return self._encode(_padded(photo), self._known(level))

    def symbols(self, photo: np.ndarray, level: int | None = None, mask: ImageLike | None = None) -> np.ndarray:
        """Returns the refined, quantized latents of a photo (H, W, 3) uint8: (ceil(H / 16), ceil(W / 16), C) int32.

        Args:
            photo: the photo.
            level, mask: as for `compress`.

        Raises:
            CompressGANError: the photo has more pixels than the format or the memory allows, or the mask is not as for
                `compress`.
            ValueError: the model has no such level.
        """
        level, matters, padded = self._known(level), _padded_importance(mask, photo), _padded(photo)
        return self._refined(self._encode(padded, level), padded, matters, level)

    def quantize(self, latents: np.ndarray) -> np.ndarray:
        """Returns the symbol of each latent, int32: the index of the nearest center."""
        return np.argmin(np.square(latents[..., np.newaxis] - self.centers), axis=-1).astype(np.int32)

    def to_bytes(
        self, symbols: np.ndarray, height: int, width: int, level: int | None = None, *, coder: str = "context"
    ) -> bytes:
        """Returns the `.bin` file of the symbols of a photo of height x width pixels at a level.

        Raises:
            BitstreamError: the format cannot hold this size.
            ValueError: there is no such level or coder.
        """
        _assert_coder(coder)
        level = self._known(level)
        coder, payload = arithmetic_coder.encode(symbols, len(self.centers), self.prior(level), coder)
        return Bitstream(height, width, symbols.shape[-1], level, self.fingerprint, coder, payload).to_bytes()

    def from_bytes(self, data: bytes) -> tuple[np.ndarray, int, int, int]:
        """Decodes a photo's symbols, height, width and level: the inverse of `to_bytes`.

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
        if not 1 <= stream.level <= self.levels:
            raise BitstreamError(f"altered: level {stream.level}, but the model has {self.levels}")
        shape = (*latent_size(stream.height, stream.width), stream.channels)
        try:
            prior = self.prior(stream.level)
            symbols = arithmetic_coder.decode(stream.payload, shape, len(self.centers), prior, stream.coder)
        except ValueError as error:
            raise BitstreamError(f"altered: {error}") from None
        return symbols, stream.height, stream.width, stream.level

    def prior(self, level: int | None = None) -> Prior:
        """Returns the entropy coder's prior for a level.

        Raises:
            ValueError: the model has no such level.
        """
        level = self._known(level)
        if level not in self._priors:
            self._priors[level] = self._networks.prior(level)
        return self._priors[level]

    def reconstruct(
        self, symbols: np.ndarray, height: int, width: int, level: int, realism: float | None = None
    ) -> np.ndarray:
        """Returns the photo (height, width, 3) uint8 that the generator reconstructs from its symbols.

        Args:
            symbols, height, width, level: as `from_bytes` returns them.
            realism: as for `decompress`.

        Raises:
            ValueError: the realism is not in [0, 1], or the model has no such level.
        """
        level = self._known(level)
        amount = self.default_realism if realism is None else realism
        if not 0 <= amount <= 1:
            raise ValueError(f"realism must be in [0, 1], not {amount}")

        def upsampling(features: np.ndarray) -> np.ndarray:
            return to_uint8(self._networks.upsample(features, level, amount))

        def generator(symbols: np.ndarray) -> np.ndarray:
            features = self._networks.features(self.centers[symbols], level, amount)
            return self._run(upsampling, features, (1, STRIDE), upsampling_halo(self._config), self._positions)

        halo = generator_halo(self._config)
        return self._run(generator, symbols, (1, STRIDE), halo, self._trunk_positions)[:height, :width]

    def _refined(
        self,
        latents: np.ndarray,
        padded: np.ndarray,
        matters: np.ndarray | None,
        level: int,
        rate_factor: float = 1.0,
    ) -> np.ndarray:
        """Returns the symbols of the refined latents; where nothing matters, those that cost least."""
        free = None if matters is None else free_positions(matters)[..., np.newaxis]
        some = free is not None and free.any()
        if some:
            # Chosen before refining, so that refining can compensate at the positions beside them.
            symbols = np.where(free, arithmetic_coder.FREE, self.quantize(latents))
            cheapest = arithmetic_coder.with_likeliest(symbols, len(self.centers), self.prior(level))
            latents = np.where(free, self.centers[cheapest], latents)
        if self._refiner:
            latents = self._refiner(latents, padded, level, rate_factor, matters)
        symbols = self.quantize(latents)
        return np.where(free, cheapest, symbols) if some else symbols

    def _known(self, level: int | None) -> int:
        """Returns the level, or the default one for None.

        Raises:
            ValueError: the model has no such level.
        """
        if level is None:
            return self.default_level
        if not 1 <= level <= self.levels:
            raise ValueError(f"level must be in 1 .. {self.levels}, not {level}")
        return level

    def _encode(self, padded: np.ndarray, level: int) -> np.ndarray:
        def encoder(pixels: np.ndarray) -> np.ndarray:
            return self._networks.encode(to_float(pixels), level)

        return self._run(encoder, padded, (STRIDE, 1), encoder_halo(self._config), self._positions)

    def _run(
        self,
        network: Callable[[np.ndarray], np.ndarray],
        x: np.ndarray,
        block: tuple[int, int],
        halo: int,
        positions: int,
    ) -> np.ndarray:
        """Runs a network on the whole of `x`, or in tiles if `x` has more latent positions than memory allows."""
        rows, columns = x.shape[0] // block[0], x.shape[1] // block[0]
        if rows * columns <= positions:
            return network(x)
        if self._config.norm == "instance":
            raise CompressGANError(
                f"{columns * STRIDE} x {rows * STRIDE} pixels need more memory than allowed; a model with instance "
                "norm cannot process a photo in tiles, because the norm depends on the whole photo"
            )
        side = max(MIN_TILE, math.isqrt(positions) - 2 * halo)
        return run_in_tiles(network, x, block, halo, side)


def _assert_coder(coder: str) -> None:
    if coder not in arithmetic_coder.CODERS:
        raise ValueError(f"coder must be one of {', '.join(arithmetic_coder.CODERS)}, not {coder}")


def _padded_importance(mask: ImageLike | None, photo: np.ndarray) -> np.ndarray | None:
    """Returns how much each pixel of the padded photo matters, or None without a mask."""
    return None if mask is None else _padded(importance(mask, *photo.shape[:2])[..., np.newaxis])[..., 0]


def _padded(photo: np.ndarray) -> np.ndarray:
    """Returns a photo (H, W, channels), padded by reflection to sides that are multiples of 16.

    Raises:
        CompressGANError: the photo has more pixels than the format allows.
    """
    height, width = photo.shape[:2]
    assert_size_fits(height, width)
    return np.pad(photo, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="reflect")
