"""The entropy coder's context model: the trained prior in exact integers, adapted to the photo while it is coded.

All sums are sums of integers, stored as floats where that is faster. They stay below 2^24 in float32 and 2^53 in
float64, so no addition rounds, in whatever order a BLAS library or a SIMD unit adds. Only single elementwise float64
operations (+, -, *, /) round, as IEEE 754 prescribes. exp is a table computed in integer arithmetic. Probabilities are
therefore the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

STAGES = 4  # groups of channels coded one after another
ROWS_ABOVE = COLUMNS_ASIDE = 2  # size of the window: rows above, columns to either side
PLANES = 2  # inputs per visible symbol: its signed rank, and the rank's magnitude
SCALE = 256  # integer weights are the real weights times this

_LARGEST_LOGIT = 256.0
_STEPS_PER_NAT = 64  # resolution of the exp table
_PROBABILITY = 2.0**16  # residuals are multiples of its inverse
_FRONTS_PER_LESSON = 2  # learning from several fronts at once is faster
_BIAS_SPEED, _BIAS_DELAY = 24, 300  # the bias moves by the residuals' sum * speed / (delay + symbols seen)
_GAIN_SPEED, _GAIN_DELAY = 8, 100
_GAIN_RANGE = 4  # the gain stays in 1/4 .. 4


def _exp_table() -> np.ndarray:
    """Returns 2^32 e^(-i / 64) for i = 0 .. 1023, floored in integer arithmetic, the same on every machine."""
    ratio = 18160753814917686419  # 2^64 e^(-1/64)
    values, value = [], 1 << 96
    for _ in range(1024):
        values.append(value >> 64)
        value = value * ratio >> 64
    return np.array(values, np.float64)


_EXP = _exp_table()


class Prior(NamedTuple):
    """The trained prior in integers.

    Attributes:
        window: (ROWS_ABOVE + 1, 2 COLUMNS_ASIDE + 1, PLANES, C, C, hidden) int32, from the planes of a visible symbol
            to hidden units, indexed by its row and column, the plane, its channel, the channel that sees it, and the
            hidden unit.
        hidden_bias: (C, hidden) int32.
        output: (C, hidden, L) int32.
        output_bias: (C, L) int32.

    The weights and `hidden_bias` are scaled by SCALE, `output_bias` by SCALE^2. Unscaled values lie in -128 .. 128.
    """

    window: np.ndarray
    hidden_bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray

    @staticmethod
    def shapes(levels: int, channels: int, centers: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Returns the names and shapes of the weights as trained: all levels' biases in one array."""
        return {
            "window": (ROWS_ABOVE + 1, 2 * COLUMNS_ASIDE + 1, PLANES, channels, channels, hidden),
            "hidden_bias": (levels, channels, hidden),
            "output": (channels, hidden, centers),
            "output_bias": (levels, channels, centers),
        }

    @classmethod
    def rounded(cls, window: np.ndarray, hidden_bias: np.ndarray, output: np.ndarray, output_bias: np.ndarray) -> Prior:
        """Returns the prior of real weights, rounded to a checkpoint's float16, then to integers."""
        weights, scales = (window, hidden_bias, output, output_bias), (SCALE, SCALE, SCALE, SCALE**2)
        stored = [np.asarray(weight).astype(np.float16).astype(np.float64) for weight in weights]
        rounded = [np.rint(np.clip(weight, -128, 128) * scale) for weight, scale in zip(stored, scales, strict=True)]
        return cls(*(weight.astype(np.int32) for weight in rounded))


def stages(channels: int) -> np.ndarray:
    """Returns each channel's group, (C,) int in 0 .. STAGES - 1, in ascending order."""
    return np.arange(channels) * STAGES // channels


def delays(channels: int) -> np.ndarray:
    """Returns how many fronts earlier each symbol of the window is coded: (rows, columns, C seen, C seeing) int.

    The symbol being coded is in the middle of the last row. A symbol with a delay of 0 or less is not visible.
    """
    rows = np.arange(-ROWS_ABOVE, 1)[:, np.newaxis, np.newaxis, np.newaxis]
    columns = np.arange(-COLUMNS_ASIDE, COLUMNS_ASIDE + 1)[:, np.newaxis, np.newaxis]
    group = stages(channels)
    return group - group[:, np.newaxis] - columns - 2 * rows


class ContextModel:
    """Predicts symbols front by front from the prior, and adapts each channel's bias and gain to the symbols coded.

    The symbol at row r, column c, channel group g belongs to front c + 2 r + g. Rows are stored by c + g, a
    symbol's time in its row. A view of this memory with a shorter row stride then has the symbols of a front in one
    column and their context in the columns before it. Three matrix products, one per row of the window, therefore serve
    a whole front. Positions of a front outside the photo hold the middle symbol. They are coded as certain, which costs
    no bits.

    Args:
        shape: (height, width, channels) of the latents.
        centers: number of symbols L.
        prior: a prior for the same channels and centers.
    """

    def __init__(self, shape: tuple[int, int, int], centers: int, prior: Prior) -> None:
        self._height, self._width, channels = shape
        self._centers = centers
        self._group = stages(channels)
        self._times = self._width + int(self._group[-1])
        column = np.arange(self._times) - self._group[:, np.newaxis]
        self._outside = (column < 0) | (column >= self._width)

        magnitude = max(centers // 2, centers - 1 - centers // 2)
        largest = np.abs(prior.window.astype(np.int64)).sum(axis=(0, 1, 2, 3)).max() * magnitude
        dtype = np.float32 if largest + np.abs(prior.hidden_bias).max() < 2**24 else np.float64
        delay = delays(channels)
        self._window = [
            (ROWS_ABOVE - row, int(delay[row].max()), _by_delay(prior.window[row], delay[row]).astype(dtype))
            for row in range(ROWS_ABOVE + 1)
        ]
        self._now = int(delay.max()) + 2 * ROWS_ABOVE  # where front 0 lies in `_planes`
        times = int(delay.max()) + self._times + 2 * ROWS_ABOVE
        self._planes = _by_front(np.zeros((self._height + ROWS_ABOVE, times, PLANES * channels), dtype))
        self._hidden_bias = prior.hidden_bias.reshape(-1, 1).astype(dtype)
        self._output = prior.output.transpose(0, 2, 1).astype(np.float64)

        self._bias = (prior.output_bias.T / float(SCALE**2))[:, :, np.newaxis]
        self._gain = np.ones((channels, 1))
        self._seen = np.zeros((channels, 1))
        self._ranks = np.arange(centers)[:, np.newaxis, np.newaxis]
        self._certain = (self._ranks == centers // 2).astype(np.float64)

    def code(self, coder: Callable[[np.ndarray, np.ndarray], np.ndarray], symbols: np.ndarray | None) -> np.ndarray:
        """Codes all symbols.

        Args:
            coder: takes weights (n, L) float64 and symbols (n,) int32, and returns the symbols.
            symbols: (height, width, channels) integers in 0 .. L - 1, or None if the coder decodes them.

        Returns:
            The symbols, (height, width, channels) int32.
        """
        by_time = np.full((self._height, self._times, len(self._group)), self._centers // 2, np.int32)
        if symbols is not None:
            for channel, time in enumerate(self._group):
                by_time[:, time : time + self._width, channel] = symbols[:, :, channel]
        by_front = _by_front(by_time)
        lesson = []  # predictions and symbols of the last fronts
        for front in range(self._times + 2 * (self._height - 1)):
            first, end = max(0, (front - self._times) // 2 + 1), min(self._height, front // 2 + 1)
            if first >= end:  # if the latents are one column wide, every other front may be empty
                continue
            outside = self._outside[:, front - 2 * np.arange(first, end)]
            logits = self._logits(front, first, end)
            scores = logits * self._gain + self._bias
            steps = (scores.max(axis=0) - scores) * _STEPS_PER_NAT
            weights = _EXP.take(steps.astype(np.intp), mode="clip")
            np.copyto(weights, self._certain, where=outside)
            flat = np.ascontiguousarray(weights.reshape(self._centers, -1).T)
            here = coder(flat, by_front[first:end, front].T.reshape(-1)).reshape(outside.shape)
            by_front[first:end, front] = here.T
            self._remember(front, first, here)
            lesson.append((logits, weights, here, outside))
            if len(lesson) == _FRONTS_PER_LESSON:
                self._learn(*(np.concatenate(parts, axis=-1) for parts in zip(*lesson, strict=True)))
                lesson.clear()
        return np.stack([by_time[:, t : t + self._width, k] for k, t in enumerate(self._group)], axis=-1)

    def _logits(self, front: int, first: int, end: int) -> np.ndarray:
        """Returns the prior's logits without `output_bias`, (L, C, rows) float64, nats, multiples of 1 / SCALE^2."""
        now = front + self._now
        hidden = self._hidden_bias
        for above, longest, matrix in self._window:
            start, stop = first + ROWS_ABOVE - above, end + ROWS_ABOVE - above
            seen = self._planes[start:stop, now - longest : now].reshape(end - first, -1)
            hidden = hidden + matrix @ seen.T
        hidden = np.maximum(hidden, 0).reshape(self._output.shape[0], -1, end - first)
        logits = (self._output @ hidden).swapaxes(0, 1) * (1.0 / SCALE**2)
        # Keeps the sums of `_learn` exact even for an absurd prior.
        return np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)

    def _remember(self, front: int, first: int, symbols: np.ndarray) -> None:
        channels, rows = symbols.shape
        rank = symbols.T - self._centers // 2
        planes = self._planes[first + ROWS_ABOVE : first + ROWS_ABOVE + rows, front + self._now]
        planes[:, :channels] = rank
        planes[:, channels:] = np.abs(rank)

    def _learn(self, logits: np.ndarray, weights: np.ndarray, symbols: np.ndarray, outside: np.ndarray) -> None:
        """Moves each channel's bias and gain along the gradient of the code length, in decreasing steps."""
        expected = np.floor(weights * (_PROBABILITY / weights.sum(axis=0)))
        residual = (self._ranks == symbols) * _PROBABILITY - expected
        self._seen += (outside.shape[1] - outside.sum(axis=1))[:, np.newaxis]
        slope = (residual * logits).sum(axis=2).sum(axis=0)[:, np.newaxis]
        step = residual.sum(axis=2)[:, :, np.newaxis]
        self._bias += step * (_BIAS_SPEED / _PROBABILITY) / (_BIAS_DELAY + self._seen)
        self._gain += slope * (_GAIN_SPEED / _PROBABILITY) / (_GAIN_DELAY + self._seen)
        np.clip(self._gain, 1 / _GAIN_RANGE, _GAIN_RANGE, out=self._gain)


def _by_front(by_time: np.ndarray) -> np.ndarray:
    """Returns a view v of an array (rows, times, n) with v[r, t] = by_time[r, t - 2 r].

    Elements outside the array must not be touched.
    """
    rows, times, n = by_time.shape
    row, time, one = by_time.strides
    return np.lib.stride_tricks.as_strided(by_time, (rows, times + 2 * (rows - 1), n), (row - 2 * time, time, one))


def _by_delay(weights: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """Sorts one row of the window by time: (C seeing * hidden, longest delay * planes * C seen), oldest first."""
    planes, _, channels, hidden = weights.shape[1:]
    longest = int(delay.max())
    matrix = np.zeros((channels, hidden, longest, planes, channels))
    column, seen, seeing = np.nonzero(delay > 0)
    matrix[seeing, :, longest - delay[column, seen, seeing], :, seen] = weights[column, :, seen, seeing].transpose(
        0, 2, 1
    )
    return matrix.reshape(channels * hidden, -1)
