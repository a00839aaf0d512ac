"""Lets Pillow open and save the program's files:

    from PIL import Image
    from compressgan.pillow import register_opener

    register_opener()
    image = Image.open("photo.bin")               # reads the header; the photo is painted when its pixels are needed
    image.save("photo.cgn", quality_level=3)      # or size=2000, or bpp=0.05

Files are known by their content, so they may have any extension. `.cgn` is the one that Pillow saves in this format.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from compressgan.codec import Codec
from compressgan.coding.bitstream import HEADER, MAGIC, Bitstream, BitstreamError
from compressgan.errors import CompressGANError, logger

FORMAT, EXTENSION, MIME = "CGN", ".cgn", "image/x-compressgan"


def register_opener(checkpoint: str | Path | None = None, realism: float | None = None) -> None:
    """Makes Pillow open and save these files in the whole process. The model is loaded when it is first needed.

    Args:
        checkpoint: folder of the model; by default the shipped one.
        realism: with which photos are painted, from 0 to 1; by default the model's. An opened image has an attribute
            `realism`, which can be changed until its pixels are needed.

    Raises:
        ValueError: the realism is not in [0, 1].
    """
    if realism is not None and not 0 <= realism <= 1:
        raise ValueError(f"realism must be in [0, 1], not {realism}")
    codec = functools.cache(lambda: Codec.load(checkpoint))

    def opener(file: BinaryIO, filename: str) -> CgnImageFile:
        return CgnImageFile(file, filename, codec, realism)

    def save(image: Image.Image, file: BinaryIO, filename: str | bytes) -> None:
        options: dict[str, Any] = image.encoderinfo
        level, size, bpp = (options.get(name) for name in ("quality_level", "size", "bpp"))
        with _os_errors():
            data = codec().compress(image, level, size=size, bpp=bpp)
        most = size if bpp is None else bpp * image.width * image.height / 8
        if most is not None and len(data) > most:
            logger.warning("%s: even the smallest file has %d bytes, more than %d", filename, len(data), most)
        file.write(data)

    Image.register_open(FORMAT, opener, _accept)
    Image.register_save(FORMAT, save)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)


class CgnImageFile(ImageFile.ImageFile):
    """An opened file. Its size, and `info` with the level and the model's fingerprint, are known from the header alone.

    Loading raises OSError if the file is damaged, or made by another model.

    Attributes:
        realism: with which the photo is painted; None: the model's default.
    """

    format = FORMAT
    format_description = "CompressGAN"

    def __init__(self, file: BinaryIO, filename: str, codec: Callable[[], Codec], realism: float | None) -> None:
        self._codec, self.realism = codec, realism
        super().__init__(file, filename)

    def _open(self) -> None:
        try:
            header = Bitstream.from_header(self.fp.read(HEADER))
        except BitstreamError as error:
            raise SyntaxError(str(error)) from None  # Pillow's way to say that it is another format
        self._size, self._mode = (header.width, header.height), "RGB"
        self.info |= {"level": header.level, "fingerprint": header.fingerprint.hex()}
        self.tile = [("raw", (0, 0, *self._size), 0, "RGB")]  # of what `load` puts into the place of the file

    def load(self) -> Any:
        if getattr(self, "fp", None):  # neither painted yet, nor a copy, which has no file
            self.fp.seek(0)
            with _os_errors():
                photo = self._codec().decompress(self.fp.read(), self.realism)
            if self._exclusive_fp:
                self.fp.close()
            self.fp, self._exclusive_fp = io.BytesIO(photo.tobytes()), True  # which Pillow closes
        return super().load()

    def verify(self) -> None:
        """Checks the whole file without painting the photo, and closes it, as Pillow does.

        Raises:
            OSError: the file is damaged.
        """
        self.fp.seek(0)
        with _os_errors():
            Bitstream.from_bytes(self.fp.read())
        super().verify()


def _accept(head: bytes) -> bool:
    return head.startswith(MAGIC)


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turns the library's errors into those that Pillow's users expect."""
    try:
        yield
    except CompressGANError as error:
        raise OSError(str(error)) from None
