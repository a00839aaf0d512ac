"""One self-contained HTML page for a compression call: a sortable table, and a before/after slider for each photo."""

from __future__ import annotations

import base64
import html
import io
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
from PIL import Image

from compressgan.errors import CompressGANError
from compressgan.evaluation.metrics import Figures, known, mean_line
from compressgan.images.files import NOT_OURS, replacing

REPORT = "report.html"
MAX_SIDE = 2048  # pixels per side of a picture on the page

_TITLE = b"<title>CompressGAN: "  # of the template
_TEMPLATE = Path(__file__).with_suffix(".html")
_COLUMNS = (  # heading, field of Figures, format
    ("file", "file", ""),
    ("width", "width", "d"),
    ("height", "height", "d"),
    ("bytes", "bytes", ",d"),
    ("bpp", "bpp", ".4f"),
    ("original / .bin", "ratio", ",.0f"),
    ("PSNR, dB", "psnr", ".2f"),
    ("MS-SSIM", "ms_ssim", ".4f"),
    ("SSIMULACRA2", "ssimulacra2", ".1f"),
)


class HtmlReport:
    """Collects photos as small pictures in a temporary file, in any order and from any thread, then writes the page.

    Args:
        folder: of the page. The temporary file lies there, too, because the system's own folder for them may be in
            memory.

    Raises:
        CompressGANError: the folder holds a page of that name which this program has not made.
    """

    def __init__(self, folder: Path) -> None:
        if (folder / REPORT).exists() and _TITLE not in (folder / REPORT).read_bytes():
            raise CompressGANError(f"{folder / REPORT}: {NOT_OURS}")
        self._rows: dict[str, _Row] = {}
        self._pictures = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, it stays open until the page is written
        self._adding = threading.Lock()

    def add(self, figures: Figures, photo: np.ndarray, reconstruction: np.ndarray) -> None:
        """Adds a photo: its figures, and the original and the reconstruction, (H, W, 3) uint8 each.

        Raises:
            OSError: the temporary file cannot be written.
        """
        before, after = _data_uri(photo), _data_uri(reconstruction)
        with self._adding:
            start = self._pictures.seek(0, io.SEEK_END)
            length = self._pictures.write(_figure(figures, before, after).encode())
            self._rows[figures.file] = _Row(figures, start, length)

    def write(self, path: Path, files: Iterable[str]) -> None:
        """Writes the page.

        Args:
            path: of the page.
            files: the files of the photos, in the page's order.

        Raises:
            CompressGANError: the page cannot be written.
        """
        rows = [self._rows[file] for file in files]
        figures = [row.figures for row in rows]
        before, after = _TEMPLATE.read_text(encoding="utf-8").split("$photos")
        head = Template(before).substitute(
            title=f"{len(rows)} photos" if len(rows) > 1 else html.escape(figures[0].file),
            summary=html.escape(mean_line(figures)),
            max_side=MAX_SIDE,
            head="".join(
                f'<th data-kind="{"number" if spec else "text"}"><button>{heading}</button></th>'
                for heading, _, spec in _COLUMNS
            ),
            rows="\n".join(_table_row(i, own) for i, own in enumerate(figures)),
        )
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(head.encode())
            for i, row in enumerate(rows):
                self._pictures.seek(row.start)
                file.write(f'<figure id="photo{i}">'.encode() + self._pictures.read(row.length) + b"</figure>\n")
            file.write(Template(after).substitute().encode())


class _Row(NamedTuple):
    """A photo: its figures, and where its pictures are in the temporary file."""

    figures: Figures
    start: int
    length: int


def _figure(figures: Figures, photo_uri: str, reconstruction_uri: str) -> str:
    name = html.escape(figures.file)
    shown_width = max(1, round(figures.width * min(1, MAX_SIDE / max(figures.width, figures.height))))
    return (
        f"<figcaption><strong>{name}</strong>"
        f"<span>{figures.width} x {figures.height}, {figures.bpp:.4f} bpp, PSNR {figures.psnr:.2f} dB</span>"
        '<label>zoom <select><option value="fit">fit</option><option value="1" selected>1:1</option>'
        '<option value="2">2:1</option><option value="4">4:1</option></select></label></figcaption>'
        f'<div class="view"><div class="stage" style="--width: {shown_width}">'
        f'<img class="before" src="{photo_uri}" alt="original of {name}">'
        f'<img class="after" src="{reconstruction_uri}" alt="reconstruction of {name}">'
        f'<span class="tag before">original</span><span class="tag size">{figures.bytes:,} bytes</span>'
        f'<input type="range" min="0" max="100" step="0.1" value="50" aria-label="split of {name}">'
        "</div></div>"
    )


def _table_row(number: int, figures: Figures) -> str:
    cells = []
    for _, field, spec in _COLUMNS:
        value = known(getattr(figures, field))
        text = "" if value is None else html.escape(format(value, spec))
        if field == "file":
            text = f'<a href="#photo{number}">{text}</a>'
        cells.append(f'<td data-value="{"" if value is None else html.escape(str(value))}">{text}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _data_uri(pixels: np.ndarray) -> str:
    """Returns (H, W, 3) uint8 pixels as a WebP picture in a data URI, with at most `MAX_SIDE` pixels per side."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=95)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
