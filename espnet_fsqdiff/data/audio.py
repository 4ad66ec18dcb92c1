"""Reading audio: mono float32 at the rate asked for, or an error that names why."""

import logging
import math
import os
import struct
from pathlib import Path
from typing import Any, Callable, Optional, Set, Tuple, Union

import numpy as np

from espnet_fsqdiff.errors import InputError

# Below this peak (about three steps of 16-bit samples) nothing was recorded.
SILENCE_PEAK = 1e-4
# Rates of recordings in Hz; others would make short files long, or long filters.
LEAST_RATE, MOST_RATE = 1000, 384_000
BLOCK = 2**20  # samples read at once


class Notices:
    """Says each kind of conversion once, not once for every file."""

    def __init__(self, say: Callable[[str], None] = logging.info):
        self._say = say
        self._said: Set[Tuple] = set()

    def conversion(self, utt: str, channels: int, rate: int, fs: int) -> None:
        """Say that `utt` is mixed to mono or resampled, unless it was said before."""
        if channels > 1:
            self._once(
                ("mono", channels),
                f"{utt} has {channels} channels: their mean is used (said once)",
            )
        if rate != fs:
            self._once(
                ("rate", rate, fs),
                f"{utt} is at {rate} Hz: resampled to {fs} Hz (said once)",
            )

    def _once(self, kind: Tuple, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._say(message)


_notices = Notices()


def read_audio(path: Union[str, Path], utt: str) -> Tuple[np.ndarray, int, int]:
    """Read a whole audio file as mono.

    Args:
        path: Any file that libsndfile reads.
        utt: Utterance id for messages.

    Returns:
        Samples (float32 in [-1, 1], mean of the channels) `(n,)`, sampling rate in
        Hz, and the number of channels in the file.

    Raises:
        InputError: The file is missing, unreadable, cut short, empty, silent, of an
            odd rate or has samples that are not numbers.
    """
    import soundfile

    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"{utt}: no audio file {path}; correct wav.scp")
    try:
        with soundfile.SoundFile(str(path)) as f:
            promised, rate, channels = len(f), f.samplerate, f.channels
            mono = _read_mono(f)
    except (soundfile.SoundFileError, RuntimeError) as e:
        reason = str(e).replace("\n", " ")
        raise InputError(
            f"{utt}: {path} is damaged or no audio ({reason}); replace the file or "
            "remove the utterance"
        ) from None
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise InputError(
            f"{utt}: {path} is at {rate} Hz; give recordings of {LEAST_RATE} to "
            f"{MOST_RATE} Hz"
        )
    if len(mono) < promised or _riff_cut_short(path):
        raise InputError(
            f"{utt}: {path} is cut short ({len(mono)} samples are there); replace the "
            "file or remove the utterance"
        )
    check_wave(mono, utt, str(path))
    return mono, rate, channels


def _read_mono(file: Any) -> np.ndarray:
    """All samples of an open file (n,), the mean of its channels.

    In blocks: a damaged header may promise more than memory holds.
    """
    size = max(1, BLOCK // file.channels)
    blocks = []
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        blocks.append(block[:, 0] if file.channels == 1 else block.mean(axis=1))
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def check_wave(wave: np.ndarray, utt: str, where: str = "audio") -> None:
    """Refuse an empty or silent waveform and one with NaN or infinity in it.

    Args:
        wave: Samples `(n,)`.
        utt: Utterance id for messages.
        where: What to call the audio in messages, e.g. the file.

    Raises:
        InputError: As said.
    """
    mend = "replace it or remove the utterance"
    if len(wave) == 0:
        raise InputError(f"{utt}: {where} is empty (no samples); {mend}")
    bad = np.flatnonzero(~np.isfinite(wave))
    if len(bad):
        raise InputError(
            f"{utt}: {where} has {len(bad)} samples that are NaN or infinite (first: "
            f"{bad[0]}); {mend}"
        )
    # A constant offset is no sound.
    peak = float(np.abs(wave - wave.mean(dtype=np.float64)).max())
    if peak < SILENCE_PEAK:
        raise InputError(f"{utt}: {where} is silent (peak {peak:.1e}); {mend}")


def mono_wave(wave: Any, utt: str) -> np.ndarray:
    """A wave as float32 samples (n,), checked.

    Args:
        wave: Array or tensor of floating point, in [-1, 1].
        utt: Name for messages.

    Raises:
        InputError: If it has several channels or holds whole numbers, or see
            `check_wave`.
    """
    try:
        kind = np.asarray(wave).dtype.kind
        wave = np.asarray(wave, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(
            f"{utt}: its wave is a {type(wave).__name__}; give samples (L,)"
        ) from None
    if kind in "iub":
        raise InputError(
            f"{utt}: its wave holds whole numbers; give floating point in [-1, 1]"
        )
    if wave.ndim != 1:
        raise InputError(f"{utt}: its wave has shape {wave.shape}; give one channel")
    check_wave(wave, utt, "its wave")
    return wave


def resample(wave: np.ndarray, rate: int, fs: int) -> np.ndarray:
    """Resample `(n,)` from `rate` to `fs` Hz with a polyphase filter.

    Raises:
        InputError: A rate is outside of `LEAST_RATE` to `MOST_RATE`.
    """
    for given in (rate, fs):
        if not LEAST_RATE <= given <= MOST_RATE:
            raise InputError(
                f"audio at {given} Hz; give recordings of {LEAST_RATE} to {MOST_RATE} Hz"
            )
    if rate == fs:
        return wave
    from scipy.signal import resample_poly

    g = math.gcd(rate, fs)
    return resample_poly(wave, fs // g, rate // g).astype(np.float32)


def load_audio(
    path: Union[str, Path], fs: int, utt: str, notices: Optional[Notices] = None
) -> np.ndarray:
    """Load an audio file as mono at `fs` Hz.

    Mixing to mono and resampling are each said once.

    Args:
        path: Any file that libsndfile reads.
        fs: Sampling rate wanted, in Hz.
        utt: Utterance id for messages.
        notices: Where conversions are said; the module's own by default.

    Returns:
        Samples, float32 `(n,)`.

    Raises:
        InputError: See :func:`read_audio`.
    """
    wave, rate, channels = read_audio(path, utt)
    (notices or _notices).conversion(utt, channels, rate, fs)
    return resample(wave, rate, fs)


def _riff_cut_short(path: Path) -> bool:
    """Tell whether a RIFF file promises more sample bytes than it holds.

    libsndfile mends the length in silence, so it has to be looked up here.
    """
    size = path.stat().st_size
    with open(path, "rb") as f:
        head = f.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return False
        while True:
            chunk = f.read(8)
            if len(chunk) < 8:
                return False
            name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            if name == b"data":
                # Writers to a pipe leave the length open: 0 or all ones.
                open_length = length >= 0x7FFFF000
                return not open_length and f.tell() + length > size
            f.seek(length + length % 2, 1)
