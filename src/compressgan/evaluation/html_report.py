"""One self-contained HTML page for a compression call: a sortable table, and a before/after slider for each photo."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from compressgan.evaluation.metrics import Figures, known, mean_line
from compressgan.images.files import replacing

REPORT = "report.html"
MAX_SIDE = 2048  # pixels per side of a picture on the page

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
    """Collects photos as small pictures, then writes the page."""

    def __init__(self) -> None:
        self._rows: list[Figures] = []
        self._photos: list[str] = []

    def add(self, figures: Figures, photo_uri: str, reconstruction_uri: str) -> None:
        """Adds a photo: its figures, and the `data_uri` of the original and of the reconstruction."""
        number = len(self._rows)
        self._rows.append(figures)
        name = html.escape(figures.file)
        shown_width = max(1, round(figures.width * min(1, MAX_SIDE / max(figures.width, figures.height))))
        self._photos.append(
            f'<figure id="photo{number}"><figcaption><strong>{name}</strong>'
            f"<span>{figures.width} x {figures.height}, {figures.bpp:.4f} bpp, PSNR {figures.psnr:.2f} dB</span>"
            '<label>zoom <select><option value="fit">fit</option><option value="1" selected>1:1</option>'
            '<option value="2">2:1</option><option value="4">4:1</option></select></label></figcaption>'
            f'<div class="view"><div class="stage" style="--width: {shown_width}">'
            f'<img class="before" src="{photo_uri}" alt="original of {name}">'
            f'<img class="after" src="{reconstruction_uri}" alt="reconstruction of {name}">'
            f'<span class="tag before">original</span><span class="tag size">{figures.bytes:,} bytes</span>'
            f'<input type="range" min="0" max="100" step="0.1" value="50" aria-label="split of {name}">'
            "</div></div></figure>"
        )

    def write(self, path: Path) -> None:
        """Writes the page.

        Raises:
            CompressGANError: the file cannot be written.
        """
        page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
            title=f"{len(self._rows)} photos" if len(self._rows) > 1 else html.escape(self._rows[0].file),
            summary=html.escape(mean_line(self._rows)),
            max_side=MAX_SIDE,
            head="".join(
                f'<th data-kind="{"number" if spec else "text"}"><button>{heading}</button></th>'
                for heading, _, spec in _COLUMNS
            ),
            rows="\n".join(_row(i, figures) for i, figures in enumerate(self._rows)),
            photos="\n".join(self._photos),
        )
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")


def _row(number: int, figures: Figures) -> str:
    cells = []
    for _, field, spec in _COLUMNS:
        value = known(getattr(figures, field))
        text = "" if value is None else html.escape(format(value, spec))
        if field == "file":
            text = f'<a href="#photo{number}">{text}</a>'
        cells.append(f'<td data-value="{"" if value is None else html.escape(str(value))}">{text}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def data_uri(pixels: np.ndarray) -> str:
    """Returns (H, W, 3) uint8 pixels as a WebP picture in a data URI, with at most `MAX_SIDE` pixels per side."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=95)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
