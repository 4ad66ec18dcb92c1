"""Waves of sentences joined to one: no clicks, pauses as the punctuation asks."""

from itertools import islice
from pathlib import Path
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.text.sentences import END, Piece

# Seconds of silence behind a piece, from its last sound to the first of the next: the
# silence that the two waves bring is part of it. The last wave keeps the tail it has.
PAUSES: Dict[str, float] = {
    "word": 0.08,
    "clause": 0.20,
    "sentence": 0.45,
    "paragraph": 0.90,
}
# Frames of this length whose level is so far below the loudest are silence.
FRAME_SECONDS = 0.01
SILENCE_DB = -40.0
# Of the silence next to sound, this much stays as recorded (room, breath, decay).
LEAD_SECONDS = 0.03
TAIL_SECONDS = 0.05
# Every wave begins and ends with half a cosine from or to zero, of this length.
FADE_SECONDS = 0.01
# A RIFF file counts its bytes in 32 bits; a header's worth less.
_MAX_WAV_BYTES = 2**32 - 4096


class Part(NamedTuple):
    """A stretch of the joined wave.

    Attributes:
        samples: (L,) float32 within [-1, 1].
        piece: Number of the piece that sounds, from 0; None for a pause.
    """

    samples: np.ndarray
    piece: Optional[int]


def speak_pieces(
    pieces: Iterable[Piece],
    speak: Callable[[Sequence[str]], Sequence[Dict]],
    batch_size: int = 8,
) -> Iterator[Tuple[np.ndarray, str]]:
    """Speak pieces in batches, as :func:`join_waves` takes them.

    Args:
        pieces: From `text.sentences.split_text`.
        speak: Texts to as many dicts with `wav` (L,): `Text2Speech.batch`.
        batch_size: Pieces spoken at once, and held in memory.

    Yields:
        Wave (L,) float32 and boundary of each piece.
    """
    pieces = iter(pieces)
    while batch := list(islice(pieces, batch_size)):
        for piece, spoken in zip(batch, speak([p.text for p in batch]), strict=True):
            yield np.asarray(spoken["wav"], dtype=np.float32), piece.boundary


def join_waves(
    waves: Iterable[Tuple[np.ndarray, str]],
    fs: int,
    pauses: Dict[str, float] = PAUSES,
) -> Iterator[Part]:
    """Join waves; holds two of them at a time.

    Silence where two waves meet is cut to `TAIL_SECONDS` and `LEAD_SECONDS`, ends are
    faded, and zeros are put between until the pause is `pauses[boundary]`. If what is
    kept is longer than the pause, it is the pause. The first wave's lead and the last
    one's tail stay. A wave that would clip is scaled down.

    Args:
        waves: Wave (L,) and what follows it: a key of `pauses`, or `end`.
        fs: Sampling rate in Hz.
        pauses: Seconds of silence by boundary.

    Yields:
        Parts whose samples, one after the other, are the whole wave.

    Raises:
        InputError: A wave is empty, silent or not finite.
    """
    held: Optional[Tuple[np.ndarray, str]] = None
    held_end = index = 0
    for wav, boundary in waves:
        wav = _checked(wav, index)
        start, end = sound_bounds(wav, fs)
        if held is not None:
            before, after = held
            last = min(len(before), held_end + round(TAIL_SECONDS * fs))
            yield Part(fade(before[:last], fs), index - 1)
            first = max(0, start - round(LEAD_SECONDS * fs))
            quiet = last - held_end + start - first
            zeros = round(_pause(after, pauses) * fs) - quiet
            if zeros > 0:
                yield Part(np.zeros(zeros, dtype=np.float32), None)
            wav, end = wav[first:], end - first
        held, held_end = (wav, boundary), end
        index += 1
    if held is not None:
        yield Part(fade(held[0], fs), index - 1)


def _pause(boundary: str, pauses: Dict[str, float]) -> float:
    # `end` in the middle: texts of their own that follow each other.
    return pauses["paragraph" if boundary == END else boundary]


def _checked(wav: np.ndarray, index: int) -> np.ndarray:
    wav = np.asarray(wav, dtype=np.float32)
    peak = np.abs(wav).max(initial=0.0)
    if not 0 < peak < np.inf:
        raise InputError(
            f"sentence {index + 1}: the wave made is empty, silent or not finite; "
            "check the models"
        )
    return wav / max(1.0, peak)


def sound_bounds(wav: np.ndarray, fs: int) -> Tuple[int, int]:
    """First sample of a wave's sound, and the one behind its last.

    Sound is where the root mean square over a frame of `FRAME_SECONDS` is at most
    `-SILENCE_DB` below that of the loudest frame.

    Args:
        wav: (L,), not silent.
        fs: Sampling rate in Hz.

    Returns:
        Start and end, multiples of a frame, the end at most L.
    """
    size = max(1, round(FRAME_SECONDS * fs))
    padded = np.pad(np.square(wav, dtype=np.float64), (0, -len(wav) % size))
    power = padded.reshape(-1, size).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (SILENCE_DB / 10))
    return int(loud[0]) * size, min(int(loud[-1] + 1) * size, len(wav))


def fade(wav: np.ndarray, fs: int) -> np.ndarray:
    """Fade a wave (L,) in and out over `FADE_SECONDS`, at most over half of it."""
    size = min(round(FADE_SECONDS * fs), len(wav) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, size, endpoint=False)) ** 2
    faded = wav.astype(np.float32)
    faded[:size] *= ramp.astype(np.float32)
    faded[len(faded) - size :] *= ramp[::-1].astype(np.float32)
    return faded


def write_joined(
    path: Union[str, Path],
    parts: Iterable[Part],
    fs: int,
    report: Optional[Callable[[int, float, float], None]] = None,
) -> float:
    """Write parts to a 16-bit file as they come.

    Args:
        path: What soundfile writes by its name: .wav, .flac, ...
        parts: From :func:`join_waves`.
        fs: Sampling rate in Hz.
        report: Called for each piece with its number, start and end in seconds.

    Returns:
        Seconds written.

    Raises:
        InputError: There is nothing to write, a .wav would pass 4 GiB, or soundfile
            cannot write such a file.
    """
    import soundfile

    path = Path(path)
    written = 0
    with atomic_path(path) as aside:
        try:
            file = soundfile.SoundFile(aside, "w", fs, channels=1, subtype="PCM_16")
        except (ValueError, TypeError, soundfile.LibsndfileError) as e:
            raise InputError(f"{path}: {e}; name it .wav or .flac") from None
        with file:
            for samples, piece in parts:
                start, written = written, written + len(samples)
                if file.format == "WAV" and 2 * written > _MAX_WAV_BYTES:
                    raise InputError(
                        f"{path}: a .wav holds {_MAX_WAV_BYTES / fs / 7200:.0f} hours "
                        "at this rate and the speech is longer; name it .flac"
                    )
                file.write(samples)
                if report is not None and piece is not None:
                    report(piece, start / fs, written / fs)
        if not written:
            raise InputError(f"{path}: there is nothing to write; give some text")
    return written / fs
