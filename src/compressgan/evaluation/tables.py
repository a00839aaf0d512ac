"""Names and formats of figures in tables and plots."""

from __future__ import annotations

FIGURES = {  # name: label, format
    "photos": ("photos", "d"),
    "bytes": ("bytes per photo", ",.0f"),
    "bpp": ("bits per pixel", ".4f"),
    "bound_bpp": ("bound, bits per pixel", ".4f"),
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "ms_ssim": ("MS-SSIM", ".4f"),
    "ssimulacra2": ("SSIMULACRA2", ".1f"),
    "vgg19_distance": ("VGG19 distance", ".3f"),
    "lpips": ("LPIPS", ".4f"),
    "kid": ("KID x 1000", ".2f"),
    "encode_seconds": ("encode, s", ".3f"),
    "decode_seconds": ("decode, s", ".3f"),
}


def label(name: str) -> str:
    """Returns a figure's readable name."""
    return FIGURES[name][0]


def print_table(rows: list[dict]) -> None:
    """Prints rows as a Markdown table: their names first, then every figure that any row has."""
    names = [name for name in rows[0] if name not in FIGURES]
    figures = [name for name in FIGURES if any(row.get(name) is not None for row in rows)]
    print(f"| {' | '.join([*names, *map(label, figures)])} |")
    print(f"|{'---|' * len(names)}{'---:|' * len(figures)}")
    for row in rows:
        cells = ["" if row[name] is None else str(row[name]) for name in names]
        cells += ["" if row[name] is None else format(row[name], FIGURES[name][1]) for name in figures]
        print(f"| {' | '.join(cells)} |")


def print_comparisons(comparisons: list[dict]) -> None:
    """Prints how many times the model's bytes each codec needs, one table for each metric and name of the model."""
    for model, metric in dict.fromkeys((row["model"], row["metric"]) for row in comparisons):
        rows = [row for row in comparisons if (row["model"], row["metric"]) == (model, metric)]
        levels = sorted({row["level"] for row in rows})
        print(f"\nTimes the bytes of {model} for the same {label(metric)}, median and 95% interval:\n")
        print(f"| level | {' | '.join(map(str, levels))} |\n|---|{'---:|' * len(levels)}")
        for codec in dict.fromkeys(row["codec"] for row in rows):
            cells = {row["level"]: _times(row) for row in rows if row["codec"] == codec}
            print(f"| {codec} | {' | '.join(cells.get(level, '') for level in levels)} |")


def print_bd_rates(rates: list[dict]) -> None:
    """Prints how many percent more bytes than the model each codec needs, one table for each name of the model."""
    rates = [row for row in rates if row["percent"] is not None]
    for model in dict.fromkeys(row["model"] for row in rates):
        rows = [row for row in rates if row["model"] == model]
        codecs = list(dict.fromkeys(row["codec"] for row in rows))
        print(f"\nBD-rate against {model}: additional bytes for the same quality, on average over the common range:\n")
        print(f"| | {' | '.join(codecs)} |\n|---|{'---:|' * len(codecs)}")
        for metric in dict.fromkeys(row["metric"] for row in rows):
            cells = {row["codec"]: row["percent"] for row in rows if row["metric"] == metric}
            texts = [f"{cells[codec]:+.0f}%" if codec in cells else "" for codec in codecs]
            print(f"| {label(metric)} | {' | '.join(texts)} |")


def _times(row: dict) -> str:
    if row["times"] is None:
        return "never"
    if not row["times"]:
        return "cannot be as small"
    if row["low"] == row["high"]:
        return f"{row['times']:.2f}"
    low = f"{row['low']:.2f}" if row["low"] else "less"
    high = "never" if row["high"] is None else f"{row['high']:.2f}"
    return f"{row['times']:.2f} ({low} to {high})"
