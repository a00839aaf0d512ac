"""Codecs to compare with: JPEG, JPEG 2000, WebP, AVIF, HEIC and JPEG XL through Pillow, HEVC and VVC through ffmpeg."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

from compressgan.images.reading import has_heic

_FEATURES = {"JPEG": "jpg", "JPEG 2000": "jpg_2000", "WebP": "webp", "AVIF": "avif"}  # Pillow's names for them
PLUGINS = {"HEIC": "pillow-heif", "JPEG XL": "pillow-jxl-plugin"}  # packages that teach Pillow a format


@dataclass(frozen=True)
class ComparedCodec:
    """A codec with one setting, an integer. Files grow along `settings`.

    `encode` takes a photo (H, W, 3) uint8 and a setting, and returns the bytes of a whole file. `decode` takes these
    bytes and returns the photo, which may be a row and a column larger. Both raise whatever their library raises.
    `encoder` tells files from those of another version of the codec, or of another way to call it.
    """

    name: str
    settings: Sequence[int]
    encode: Callable[[np.ndarray, int], bytes]
    decode: Callable[[bytes], np.ndarray]
    encoder: str


def available_codecs() -> tuple[list[ComparedCodec], list[str]]:
    """Returns the codecs available on this machine, and the missing ones, each with a hint on how to get it."""
    codecs = [
        _by_pillow("JPEG", range(1, 96), lambda quality: {"format": "JPEG", "quality": quality, "optimize": True}),
        _by_pillow("JPEG 2000", range(10, 4000), _jpeg2000_options),
        _by_pillow("WebP", range(101), lambda quality: {"format": "WEBP", "quality": quality, "method": 6}),
    ]
    absent = []
    if features.check("avif"):
        codecs.append(
            # The threads divide the photo between them, which changes the file.
            _by_pillow("AVIF", range(101), lambda q: {"format": "AVIF", "quality": q, "speed": 4, "max_threads": 2})
        )
    else:
        absent.append("AVIF (a Pillow built with it)")
    if has_heic():
        codecs.append(_by_pillow("HEIC", range(101), lambda quality: {"format": "HEIF", "quality": quality}))
    else:
        absent.append("HEIC (pip install pillow-heif)")
    if _has_jpeg_xl():
        codecs.append(_by_pillow("JPEG XL", range(101), lambda quality: {"format": "JXL", "quality": quality}))
    else:
        absent.append("JPEG XL (pip install pillow-jxl-plugin)")
    try:
        encoders, ffmpeg_version = (_ffmpeg(option).decode(errors="replace") for option in ("-encoders", "-version"))
    except (OSError, ValueError):
        encoders = ffmpeg_version = ""
    for name, encoder, container, coarsest in (("HEVC", "libx265", "hevc", 51), ("VVC", "libvvenc", "vvc", 63)):
        if encoder in encoders:
            codecs.append(_by_ffmpeg(name, encoder, container, range(coarsest, -1, -1), ffmpeg_version.splitlines()[0]))
        else:
            absent.append(f"{name} (an ffmpeg with {encoder})")
    return codecs, absent


def _by_pillow(name: str, settings: Sequence[int], options: Callable[[int], dict]) -> ComparedCodec:
    def encode(photo: np.ndarray, setting: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, **options(setting))
        return buffer.getvalue()

    def decode(data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))

    sample = {name: value for name, value in options(settings[0]).items() if name != "format"}
    return ComparedCodec(name, settings, encode, decode, f"{name}, {_versions(name)}, {sample}")


def _versions(name: str) -> str:
    """Returns the versions of what encodes for Pillow."""
    if name in PLUGINS:
        return f"Pillow {PIL.__version__} {PLUGINS[name]} {version(PLUGINS[name])}"
    return f"Pillow {PIL.__version__} {features.version(_FEATURES[name])}"


def _has_jpeg_xl() -> bool:
    """Makes Pillow read and write JPEG XL, and returns whether it can."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        return False
    return True


def _jpeg2000_options(millibits: int) -> dict:
    """The setting is the rate in thousandths of a bit per pixel. Pillow expects the ratio to 24 bits per pixel."""
    options = {"format": "JPEG2000", "quality_mode": "rates", "quality_layers": [24_000 / millibits]}
    # Pillow's default uses no colour transform and is 1.7 dB worse. The container would add 85 bytes.
    return {**options, "irreversible": True, "mct": 1, "no_jp2": True}


def _by_ffmpeg(name: str, encoder: str, container: str, settings: Sequence[int], ffmpeg_version: str) -> ComparedCodec:
    """One intra frame in 4:2:0 with a constant quantizer, as a raw stream without a container."""

    def options(setting: int) -> tuple[str, ...]:
        x265 = ("-x265-params", f"qp={setting}:info=0:log-level=none")
        quantizer = x265 if encoder == "libx265" else ("-qp", str(setting))
        return ("-frames:v", "1", "-pix_fmt", "yuv420p", "-c:v", encoder, "-preset", "slow", *quantizer)

    def encode(photo: np.ndarray, setting: int) -> bytes:
        # 4:2:0 needs even sides. `Bench` crops the decoded photo.
        photo = np.pad(photo, ((0, photo.shape[0] % 2), (0, photo.shape[1] % 2), (0, 0)), mode="edge")
        height, width = photo.shape[:2]
        source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-")
        return _ffmpeg(*source, *options(setting), "-f", container, "-", stdin=photo.tobytes())

    def decode(data: bytes) -> np.ndarray:
        # PNG stores the picture's size; raw frames do not.
        with tempfile.TemporaryDirectory() as folder:
            stream = Path(folder) / f"stream.{container}"
            stream.write_bytes(data)
            png = _ffmpeg("-f", container, "-i", str(stream), "-f", "image2", "-c:v", "png", "-pix_fmt", "rgb24", "-")
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image)

    return ComparedCodec(name, settings, encode, decode, f"{name}, {ffmpeg_version}, {options(settings[0])}")


def _ffmpeg(*arguments: str, stdin: bytes = b"") -> bytes:
    """Runs ffmpeg and returns its output.

    Raises:
        ValueError: ffmpeg failed; the message is the last line of its output.
    """
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=600)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(lines[-1] if lines else f"ffmpeg failed with {done.returncode}")
    return done.stdout
