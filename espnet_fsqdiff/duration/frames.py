"""From predicted durations to whole frames."""

from typing import Optional

import numpy as np

from espnet_fsqdiff.errors import InputError

MAX_FRAMES = 2**31  # years of speech


def to_frames(
    durations: np.ndarray,
    total: Optional[int] = None,
    min_frames: int = 1,
    speed: float = 1.0,
) -> np.ndarray:
    """Whole frames from predicted ones, by rounding the ends of the symbols.

    Args:
        durations: Predicted frames of every symbol (S,), >= 0.
        total: Frames of the whole text; without it the rounded sum of
            `durations / speed`, at least one frame a symbol.
        min_frames: What every symbol gets at least; lowered where `total` does
            not allow it, down to one frame.
        speed: Rate of speech, 2 is twice as fast. No effect when `total` is
            given.

    Returns:
        Frames (S,), int64, their sum exactly the total.

    Raises:
        InputError: The text is empty, has more symbols than `total` frames, takes
            more than `MAX_FRAMES`, or the speed is not positive.
    """
    durations = np.asarray(durations, dtype=np.float64)
    S = len(durations)
    if S == 0:
        raise InputError("the text is empty; give at least one symbol")
    if not speed > 0:
        raise InputError(f"the speed is {speed}; give a positive number")
    if total is None:
        if not durations.sum() / speed < MAX_FRAMES:
            raise InputError(
                f"the text takes {durations.sum() / speed:.3g} frames; raise the "
                "speed, or correct the durations"
            )
        total = max(int(round(durations.sum() / speed)), S * min_frames)
    if total < S and min_frames > 0:
        raise InputError(
            f"the text is longer than the frames can hold: {S} symbols, {total} "
            "frames; shorten the text, give more frames or lower the speed"
        )
    least = min(min_frames, total // S)
    ends = np.floor(np.cumsum(_stretch(durations, total, least)) + 0.5)
    # Rounding errors of the sum must not cost a symbol its minimum.
    floor = least * np.arange(1, S + 1)
    ends = np.maximum.accumulate(ends.astype(np.int64) - floor) + floor
    ends = np.minimum(np.maximum(ends, floor), total - (floor[-1] - floor))
    ends[-1] = total
    return np.diff(ends, prepend=0)


def _stretch(durations: np.ndarray, total: int, least: int) -> np.ndarray:
    """`max(c * durations, least)` with the c that makes the sum `total`."""
    if durations.sum() <= 0:
        return np.full(len(durations), total / len(durations))
    durations = durations / durations.max()  # the smallest floats overflow below
    order = np.sort(durations)
    # With the k shortest at the minimum, the others share the rest.
    k = np.arange(len(order))
    rest = np.cumsum(order[::-1])[::-1]
    factor = (total - k * least) / rest
    fits = factor * order >= least  # true of the longest at any rate
    return np.maximum(durations * factor[np.argmax(fits)], least)
