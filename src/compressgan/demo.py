"""A page for the browser: drop a photo to see what becomes of it, or a `.bin` file to see it. Gradio serves it."""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from compressgan.codec import Codec
from compressgan.coding.bitstream import MAGIC, Bitstream
from compressgan.errors import CompressGANError, logger, os_reason
from compressgan.evaluation.metrics import psnr
from compressgan.evaluation.other_codecs import ComparedCodec, available_codecs
from compressgan.evaluation.selection import first_reaching
from compressgan.geometry import bits_per_pixel
from compressgan.images.reading import read_photo
from compressgan.images.writing import write_picture

MOST_PIXELS = 2**26  # of what is opened; others wait for it
SHOWN_SIDE = 2048  # pixels; larger pictures are shown smaller, the downloads are whole
NOTHING = [None, None, "", None, None]  # on the page
OTHERS = ("JPEG", "WebP", "AVIF")
OTHERS_PIXELS = 2**22  # of a photo that is also compressed by the others, which takes several tries for each


@dataclass
class Opened:
    """What a visitor has dropped: a photo and its file, or a file alone."""

    name: str  # without extension
    photo: np.ndarray | None  # (H, W, 3) uint8
    photo_bytes: int  # of its own file
    data: bytes = b""  # the .bin file
    downloads: tempfile.TemporaryDirectory = field(default_factory=tempfile.TemporaryDirectory)


def build_page(codec: Codec) -> gr.Blocks:
    """Returns the page for a model."""

    def open_file(path: str, level: int, realism: float, progress: gr.Progress = gr.Progress()) -> list:  # noqa: B008
        if path is None:
            return NOTHING
        progress(0.1, "reading")
        file = Path(path)
        try:
            with _errors_on_the_page(file):
                return compress(open_upload(file), level, realism, progress)
        except gr.Error as error:
            gr.Warning(error.message)
            return NOTHING

    def compress(
        opened: Opened | None,
        level: int,
        realism: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list:
        if opened and opened.photo is not None:
            progress(0.3, "compressing")
            with _errors_on_the_page(Path(opened.name)):
                opened.data = codec.compress(opened.photo, int(level))
        return paint(opened, realism, progress)

    def paint(opened: Opened | None, realism: float, progress: gr.Progress = gr.Progress()) -> list:  # noqa: B008
        if not opened:
            return NOTHING
        progress(0.7, "painting")
        folder = Path(opened.downloads.name)
        binary, picture = folder / f"{opened.name}.bin", folder / f"{opened.name}_reconstructed.png"
        with _errors_on_the_page(Path(opened.name)):
            painted = codec.decompress(opened.data, realism)
            level = Bitstream.from_header(opened.data).level
            binary.write_bytes(opened.data)
            write_picture(picture, painted)
        before = painted if opened.photo is None else opened.photo
        pair = (_shown(before), _shown(painted))
        facts = describe(opened, painted, level, realism if codec.realism else None)
        return [opened, pair, facts, str(binary), str(picture)]

    def others(opened: Opened | None, progress: gr.Progress = gr.Progress()) -> list[tuple[np.ndarray, str]]:  # noqa: B008
        if not opened or opened.photo is None or opened.photo[..., 0].size > OTHERS_PIXELS:
            return []
        return list(at_as_many_bytes(opened.photo, len(opened.data), lambda name: progress(0.5, name)))

    with gr.Blocks(title="CompressGAN", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown("# CompressGAN\nDrop a photo to compress it, or a `.bin` file to see it.")
        opened = gr.State()
        file = gr.File(label="a photo or a .bin file", type="filepath", height=140)
        with gr.Row():
            level = gr.Slider(
                *(1, max(2, codec.levels), codec.default_level),
                step=1,
                label="level: how many bytes",
                visible=codec.levels > 1,
                elem_id="level",
            )
            realism = gr.Slider(
                *(0, 1, codec.default_realism),
                step=0.05,
                label="realism: 0 is closest to the photo, 1 looks most like a photograph",
                visible=codec.realism,
                elem_id="realism",
            )
        text = gr.Markdown(elem_id="figures")
        pair = gr.ImageSlider(label="before and after", format="png", interactive=False, elem_id="pair")
        with gr.Row():
            binary = gr.DownloadButton("Download the .bin file", elem_id="binary")
            picture = gr.DownloadButton("Download the picture", elem_id="picture")
        gallery = gr.Gallery(label="other codecs, the nearest file that is not smaller", format="png", columns=3)
        shown = [opened, pair, text, binary, picture]
        one_by_one = {"concurrency_id": "codec", "concurrency_limit": 1}  # a later event never overtakes an earlier one
        moved = {**one_by_one, "trigger_mode": "always_last"}
        after_file = file.change(open_file, [file, level, realism], shown, **one_by_one)
        after_level = level.release(compress, [opened, level, realism], shown, **moved)
        realism.release(paint, [opened, realism], shown, **moved)
        for change in (after_file, after_level):
            change.success(others, opened, gallery)
    return page


def open_upload(file: Path) -> Opened:
    """Opens a photo or a `.bin` file.

    Raises:
        CompressGANError: it cannot be read, is damaged, or has too many pixels.
        OSError: it cannot be read.
    """
    data = file.read_bytes()
    if data.startswith(MAGIC):
        header = Bitstream.from_header(data)
        opened, pixels = Opened(file.stem, None, 0, data), header.width * header.height
    else:
        photo = read_photo(file)
        opened, pixels = Opened(file.stem, photo, len(data)), photo[..., 0].size
    if pixels > MOST_PIXELS:
        raise CompressGANError(f"{pixels:,} pixels are too many for this page")
    return opened


@contextmanager
def _errors_on_the_page(file: Path) -> Iterator[None]:
    """Lets the page show an error in place of a traceback on the terminal."""
    try:
        yield
    except (CompressGANError, OSError, MemoryError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error) or "not enough memory"
        text = f"{file.name}: {reason.removeprefix(f'{file}: ')}"  # without the upload's folder
        raise gr.Error(text, print_exception=False) from None


def describe(opened: Opened, painted: np.ndarray, level: int, realism: float | None) -> str:
    """Returns the figures of a file as a line of Markdown."""
    height, width = painted.shape[:2]
    size = len(opened.data)
    facts = [
        f"{width} x {height} pixels",
        f"**{size:,} bytes**",
        f"{bits_per_pixel(size, height, width):.4f} bits per pixel",
    ]
    facts.append(f"level {level}")
    if realism is not None:
        facts.append(f"realism {realism:g}")
    if opened.photo is not None:
        facts.append(f"{opened.photo_bytes / size:,.1f} times smaller than the photo's file")
        quality = psnr(opened.photo, painted)
        facts.append("equal" if math.isinf(quality) else f"PSNR {quality:.2f} dB")
    return ", ".join(facts)


def at_as_many_bytes(
    photo: np.ndarray, size: int, progress: Callable[[str], None] = lambda name: None
) -> Iterator[tuple[np.ndarray, str]]:
    """Yields a photo (H, W, 3) uint8 by other codecs in their nearest file that is not smaller, and captions."""
    for codec in _others():
        progress(codec.name)
        try:
            yield _nearest(codec, photo, size)
        except Exception as error:  # codecs raise many kinds, for example for a side that is too long
            logger.warning("%s: %s; left out", codec.name, error)


@functools.cache
def _others() -> list[ComparedCodec]:
    """Returns the codecs to compare with. Looking for them starts ffmpeg, so it is done once."""
    return [codec for codec in available_codecs()[0] if codec.name in OTHERS]


def _nearest(codec: ComparedCodec, photo: np.ndarray, size: int) -> tuple[np.ndarray, str]:
    encode = functools.cache(lambda setting: codec.encode(photo, setting))
    position = first_reaching(codec.settings, lambda setting: len(encode(setting)), size)
    data = encode(codec.settings[position])
    caption = f"{codec.name}, {len(data):,} bytes{', its smallest file' if position == 0 else ''}"
    return codec.decode(data), caption


def _shown(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)
