"""The part of a checkpoint folder that inference reads: `config.json` and `model.weights.h5`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from compressgan.config import ARCHITECTURE, EARLIER_VALUES, Config
from compressgan.errors import CompressGANError, os_reason
from compressgan.images.files import replacing_h5, write_json
from compressgan.version import __version__

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.weights.h5"


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
        description = json.loads(path.read_text(encoding="utf-8"))
        return Config.from_json(description["config"]), description["fingerprint"]
    except FileNotFoundError:
        raise CompressGANError(f"{path}: no such file, so {directory} is not a checkpoint") from None
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CompressGANError(f"{path}: not valid checkpoint settings ({error})") from None


def read_weights(directory: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Reads the weights of a checkpoint by name.

    Args:
        directory: the checkpoint folder.
        shapes: the names and shapes that the settings require.

    Returns:
        Arrays as stored, float16 or float32.

    Raises:
        CompressGANError: the file is missing or damaged, or a weight is missing or has another shape.
    """
    path = directory / WEIGHTS_FILE
    if not path.is_file():
        raise CompressGANError(f"{path}: no such file, so {directory} holds no trained model")
    arrays = {}
    try:
        with h5py.File(path, "r") as file:
            for name, shape in shapes.items():
                if name not in file:
                    raise CompressGANError(f"{path}: {name} is missing")
                if file[name].shape != shape:
                    raise CompressGANError(
                        f"{path}: {name} has shape {file[name].shape}, but the settings require {shape}"
                    )
                arrays[name] = file[name][()]
    except (OSError, TypeError, RuntimeError, KeyError, AttributeError, OverflowError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else error
        raise CompressGANError(f"{path}: damaged ({reason})") from None
    return arrays


def write_checkpoint(directory: Path, config: Config, weights: Mapping[str, np.ndarray], step: int) -> None:
    """Writes `config.json` and `model.weights.h5`, everything that inference needs.

    Raises:
        CompressGANError: the folder cannot be written to.
    """
    with replacing_h5(directory / WEIGHTS_FILE) as file:
        for name, array in weights.items():
            file.create_dataset(name, data=array, compression="gzip", shuffle=True)
    description = {
        "version": __version__,
        "step": step,
        "fingerprint": fingerprint(config, weights).hex(),
        "config": config.to_json(),
    }
    write_json(directory / CONFIG_FILE, description)


def fingerprint(config: Config, weights: Mapping[str, np.ndarray]) -> bytes:
    """Returns the first 4 bytes of a SHA-256 of the architecture and the weights as stored."""
    digest = hashlib.sha256()
    settings = config.to_json()
    # Settings with their earlier values are left out, to keep the fingerprints of older models unchanged.
    named = {name: settings[name] for name in ARCHITECTURE if settings[name] != EARLIER_VALUES.get(name)}
    digest.update(json.dumps(named).encode())
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name], weights[name].dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:4]
