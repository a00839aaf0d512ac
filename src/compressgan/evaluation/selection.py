"""What is measured and shown: the model's levels, and the settings of other codecs that compare with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from compressgan.evaluation.bench import OURS, Bench, CodecFailed
from compressgan.evaluation.other_codecs import ComparedCodec
from compressgan.version import __version__

if TYPE_CHECKING:
    from compressgan.codec import Codec

_RATIO = 1.6  # at most, between the rates of neighbouring settings
SHOWN = 6  # photos on the sheet of crops


def first_reaching(settings: Sequence[int], size: Callable[[int], float], target: float) -> int:
    """Returns the position of the first setting whose size is at least the target, or the last position.

    Sizes must grow along the settings, because this is a bisection.
    """
    low, high = 0, len(settings) - 1
    while low < high:
        middle = (low + high) // 2
        if size(settings[middle]) >= target:
            high = middle
        else:
            low = middle + 1
    return low


def our_codecs(model: Codec, effort: int) -> list[ComparedCodec]:
    """Returns the model as a codec whose settings are its levels: at realism 0, and at its default realism."""
    encoder = f"{OURS} {__version__} {model.fingerprint.hex()}, effort {effort}"
    levels = range(1, model.levels + 1)

    def codec(name: str, realism: float | None) -> ComparedCodec:
        return ComparedCodec(name, levels, model.compress, lambda data: model.decompress(data, realism), encoder)

    if not model.realism:
        return [codec(OURS, None)]
    return [codec(f"{OURS}, realism {r:g}", r) for r in dict.fromkeys((0.0, model.default_realism))]


def spanning(codec: ComparedCodec, bench: Bench, low: float, high: float) -> list[int]:
    """Returns settings of the codec whose mean rates on its photos span those from `low` to `high`, evenly.

    Args:
        codec, bench: the codec and the photos.
        low, high: bits per pixel.
    """
    count = max(2, math.ceil(math.log(high / low) / math.log(_RATIO)) + 1)
    positions = set()
    for rate in np.geomspace(low, high, count):
        above = first_reaching(codec.settings, lambda setting: bench.mean_bpp(codec, setting), rate)
        positions |= {above} if positions else {max(0, above - 1), above}
    # If even the smallest files are larger than all rates, one setting is enough.
    if bench.mean_bpp(codec, codec.settings[0]) >= high:
        positions = {0}
    return [codec.settings[position] for position in sorted(positions)]


def at_equal_bytes(
    bench: Bench, ours: ComparedCodec, level: int, codecs: list[ComparedCodec]
) -> list[list[tuple[str, np.ndarray]]]:
    """Returns pictures to compare: for some photos the original, ours at a level, and each codec's next larger file."""
    names = [name for name in bench.photos if (ours.name, name) not in bench.failures]
    rows = []
    for name in names[:: max(1, len(names) // SHOWN)][:SHOWN]:
        with suppress(CodecFailed):
            least = len(bench.encode(ours, level, name)[0])
            row = [("original", bench.photos[name])]
            row.append((f"{ours.name}, {least:,} bytes", bench.decode(ours, level, name)[0]))
            for codec in codecs:

                def size(setting: int, codec: ComparedCodec = codec, name: str = name) -> int:
                    return len(bench.encode(codec, setting, name)[0])

                with suppress(CodecFailed):
                    setting = codec.settings[first_reaching(codec.settings, size, least)]
                    row.append((f"{codec.name}, {size(setting):,} bytes", bench.decode(codec, setting, name)[0]))
            rows.append(row)
    return rows
