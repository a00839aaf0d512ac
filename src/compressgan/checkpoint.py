"""The part of a checkpoint folder that inference reads: `config.json`, `model.weights.h5` and `codec.tflite`."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from compressgan.config import ARCHITECTURE, Config
from compressgan.errors import CompressGANError, os_reason
from compressgan.images.files import replacing, replacing_h5, write_json
from compressgan.version import __version__

CONFIG_FILE, WEIGHTS_FILE, LITERT_FILE = "config.json", "model.weights.h5", "codec.tflite"
CENTERS, RATE_COEFFS = "quantizer/centers", "rate_coeffs"  # names in the weights file
PRIOR = "prior/"  # begins the names of the prior's weights
DESCRIPTION = "description"  # attribute of the weights file with the same content as `config.json`
_DIGEST = hashlib.sha256().digest_size


def shipped_checkpoint() -> Path:
    """Returns the folder of the shipped model: inside the installed package or, in a clone, in `checkpoints/`."""
    package = Path(__file__).resolve().parent
    installed = package / "checkpoints" / "default"
    return installed if installed.is_dir() else package.parents[1] / "checkpoints" / "default"


def read_config(directory: Path) -> tuple[Config, str]:
    """Reads a checkpoint's `config.json`: its Config, and the fingerprint of its weights in hexadecimal.

    Raises:
        CompressGANError: the folder or file is missing or damaged, or holds unknown settings.
    """
    path = directory / CONFIG_FILE
    try:
        return _parsed(path, path.read_bytes())
    except FileNotFoundError:
        raise CompressGANError(f"{path}: no such file, so {directory} is not a checkpoint") from None
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None


def _parsed(path: Path, description: str | bytes) -> tuple[Config, str]:
    try:
        values = json.loads(description)
        return Config.from_json(values["config"]), bytes.fromhex(values["fingerprint"]).hex()
    except (ValueError, KeyError, TypeError) as error:
        raise CompressGANError(f"{path}: not valid checkpoint settings ({error})") from None


class StoredModel:
    """The model of a checkpoint folder as stored.

    The weights file is read at once and holds the settings, too, so a training run may replace it meanwhile.

    Args:
        directory: the checkpoint folder.

    Attributes:
        config: the settings.
        fingerprint: of the weights, in hexadecimal.
        coding: the same of those weights alone that `is_for_coding`; None in older checkpoints.
        path: the weights file.

    Raises:
        CompressGANError: a file is missing or damaged, or holds unknown settings.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / WEIGHTS_FILE
        if not self.path.is_file():
            read_config(directory)  # says so if this is no checkpoint at all
            raise CompressGANError(f"{self.path}: no such file, so {directory} holds no trained model")
        with self._damage():
            self._file = h5py.File(io.BytesIO(self.path.read_bytes()), "r")
            description = self._file.attrs.get(DESCRIPTION)
        if description is None:
            raise CompressGANError(f"{self.path}: has no settings, so another version or program made it")
        self.config, self.fingerprint = _parsed(self.path, description)
        self.coding = json.loads(description).get("coding")

    def weights(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Returns the weights by name, float16 or float32 as stored.

        Args:
            shapes: the names and shapes that the settings require.

        Raises:
            CompressGANError: the file is damaged, or a weight is missing or has another shape.
        """
        arrays = {}
        with self._damage():
            for name, shape in shapes.items():
                if name not in self._file:
                    raise CompressGANError(f"{self.path}: {name} is missing")
                found = self._file[name].shape
                if found != shape:
                    raise CompressGANError(f"{self.path}: {name} has shape {found}, but the settings require {shape}")
                arrays[name] = self._file[name][()]
        return arrays

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (OSError, TypeError, RuntimeError, KeyError, AttributeError, OverflowError, ValueError) as error:
            reason = os_reason(error) if isinstance(error, OSError) else error
            raise CompressGANError(f"{self.path}: damaged ({reason})") from None


def write_checkpoint(directory: Path, config: Config, weights: Mapping[str, np.ndarray], step: int) -> None:
    """Writes `config.json` and `model.weights.h5`, everything that inference needs.

    Raises:
        CompressGANError: the folder cannot be written to.
    """
    description = {
        "version": __version__,
        "step": step,
        "fingerprint": fingerprint(config, weights).hex(),
        "coding": fingerprint(config, {name: weights[name] for name in weights if is_for_coding(name)}).hex(),
        "config": config.to_json(),
    }
    with replacing_h5(directory / WEIGHTS_FILE) as file:
        file.attrs[DESCRIPTION] = json.dumps(description)
        for name, array in weights.items():
            file.create_dataset(name, data=array, compression="gzip", shuffle=True)
    write_json(directory / CONFIG_FILE, description)


def write_litert(directory: Path, model: bytes, fingerprint: str) -> None:
    """Writes `codec.tflite`: a LiteRT model, then the fingerprint of its weights, then a SHA-256 of both.

    LiteRT does not mind what follows a model.

    Args:
        directory: the checkpoint folder.
        model: the LiteRT model.
        fingerprint: in hexadecimal.

    Raises:
        CompressGANError: the folder cannot be written to.
    """
    content = model + bytes.fromhex(fingerprint)
    with replacing(directory / LITERT_FILE) as temporary:
        temporary.write_bytes(content + hashlib.sha256(content).digest())


def read_litert(directory: Path, fingerprint: str) -> bytes | None:
    """Returns the LiteRT model of a checkpoint folder, or None if there is none of weights with this fingerprint.

    Raises:
        CompressGANError: the file cannot be read, or is damaged.
    """
    path = directory / LITERT_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    content, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise CompressGANError(f"{path}: damaged")
    end = len(bytes.fromhex(fingerprint))
    return content[:-end] if content[-end:].hex() == fingerprint else None


def is_for_coding(name: str) -> bool:
    """Returns whether the codec needs a weight beside `codec.tflite`."""
    return name in (CENTERS, RATE_COEFFS) or name.startswith(PRIOR)


def fingerprint(config: Config, weights: Mapping[str, np.ndarray]) -> bytes:
    """Returns the first 4 bytes of a SHA-256 of the architecture and the weights as stored."""
    digest = hashlib.sha256()
    settings = config.to_json()
    digest.update(json.dumps({name: settings[name] for name in ARCHITECTURE}).encode())
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name], weights[name].dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:4]
