"""Reading aloud: texts of any length in sentences, batches and joined waves."""

import time
from itertools import count, islice
from typing import Any, Callable, Dict, Iterable, Iterator, List, Sequence, Tuple, Union

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.joining import Part, join_waves, speak_pieces
from espnet_fsqdiff.text.sentences import Piece, can_sound, split_text

# About two hours of speech, which `read_aloud` would hold in memory at once.
MAX_CHARS = 100_000

# Texts and their names to as many results of `Synthesizer.speak`.
Speak = Callable[[Sequence[str], Sequence[str]], List[Dict[str, Any]]]


def read_aloud(
    texts: Sequence[str],
    names: Sequence[str],
    holds: Callable[[str, str], bool],
    sounds: Callable[[str], bool],
    speak: Speak,
    fs: int,
    batch_size: int = 8,
) -> List[Dict[str, Any]]:
    """Speak texts of up to `MAX_CHARS` characters; each as it would be alone.

    Args:
        texts: What to say.
        names: Of the texts, for messages.
        holds: Whether the model can speak a text, called by a name, at once.
        sounds: Whether anything in a text can be spoken.
        speak: Speaks what the model holds.
        fs: Rate of the waves in Hz.
        batch_size: Sentences spoken at once, of whatever text.

    Returns:
        For each text what `Text2Speech.batch` returns.

    Raises:
        InputError: If a text is empty, too long or cannot be spoken.
    """
    start = time.perf_counter()
    split = [_pieces(text, name, holds, sounds) for text, name in zip(texts, names)]
    todo = [pair for pieces in split for pair in pieces]
    spoken: List[Dict[str, Any]] = []
    while batch := todo[len(spoken) : len(spoken) + batch_size]:
        spoken += speak([piece.text for _, piece in batch], [name for name, _ in batch])
    results, left = [], iter(spoken)
    for name, pieces in zip(names, split):
        own = list(islice(left, len(pieces)))
        try:
            results.append(_joined([piece for _, piece in pieces], own, fs))
        except InputError as e:
            raise InputError(f"{name}, {e}") from None
    rtf = (time.perf_counter() - start) / sum(len(r["wav"]) / fs for r in results)
    for result in results:
        result["rtf"] = rtf
    return results


def _pieces(text, name, holds, sounds) -> List[Tuple[str, Piece]]:
    """The sentences of a text, each with a name for messages."""
    if not isinstance(text, str):
        raise InputError(f"{name}: it is a {type(text).__name__}; give a string")
    if len(text) > MAX_CHARS:
        raise InputError(
            f"{name}: {len(text)} characters are hours of speech, more than the "
            f"{MAX_CHARS} held in memory at once; use Text2Speech.stream, or cut it"
        )
    pieces = list(sounding(split_text(text, lambda t: holds(t, name)), sounds))
    if not pieces:
        short = text if len(text) <= 60 else f"{text[:60]}..."
        raise InputError(
            f"{name}: {short!r} has nothing to speak; write what is to be said"
        )
    if len(pieces) == 1:
        return [(name, pieces[0])]
    return [(f"{name}, sentence {i}", p) for i, p in enumerate(pieces, start=1)]


def sounding(pieces: Iterable[Piece], sounds: Callable[[str], bool]) -> Iterator[Piece]:
    """Leave out pieces of which nothing can be spoken, such as a row of asterisks."""
    return (p for p in pieces if can_sound(p.text) or sounds(p.text))


def _joined(
    pieces: Sequence[Piece], spoken: Sequence[Dict[str, Any]], fs: int
) -> Dict[str, Any]:
    """One result of those of a text's sentences."""
    waves = ((np.asarray(s["wav"]), p.boundary) for p, s in zip(pieces, spoken))
    parts, times, at = [], [], 0
    for samples, piece in join_waves(waves, fs):
        if piece is not None:
            times.append((at / fs, (at + len(samples)) / fs))
        parts.append(samples)
        at += len(samples)
    laid = [s["durations"] for s in spoken]
    seconds = sum(s["rtf_sampling"] * len(s["wav"]) for s in spoken) / fs
    result = dict(
        wav=torch.from_numpy(np.concatenate(parts)),
        fs=fs,
        tokens=torch.cat([s["tokens"] for s in spoken]),
        duration=None,
        mel=torch.cat([s["feat_gen"] for s in spoken]),
        sentences=[
            dict(text=piece.text, start=start, end=end)
            for piece, (start, end) in zip(pieces, times, strict=True)
        ],
        complete=all(s["complete"] for s in spoken),
        rtf_sampling=seconds / (at / fs),
    )
    if all(d is not None for d in laid):
        result["duration"] = torch.from_numpy(np.concatenate(laid))
    if "scores" in spoken[0]:
        result["scores"] = [s["scores"] for s in spoken]
    return result


def check_aloud(
    lines: Union[str, Iterable[str]],
    name: str,
    encode: Callable[[str, str], Any],
    sounds: Callable[[str], bool],
) -> None:
    """Find what of a text `stream_aloud` could not speak.

    Args:
        lines: The text, or its parts in order.
        name: Of the text, for messages.
        encode: Reads a sentence, called by a name, as it is read to be spoken.
        sounds: Whether anything in a text can be spoken.

    Raises:
        InputError: A sentence cannot be spoken; the message has its number and its
            beginning.
    """
    sentences = split_text(lines, MAX_CHARS, min_chars=0)
    for number, sentence in enumerate(sounding(sentences, sounds), start=1):
        short = sentence.text
        if len(short) > 60:
            short = f"{short[:60]}..."
        encode(sentence.text, f"{name}, sentence {number} ({short})")


def stream_aloud(
    lines: Union[str, Iterable[str]],
    holds: Callable[[str, str], bool],
    sounds: Callable[[str], bool],
    speak: Speak,
    fs: int,
    batch_size: int = 8,
) -> Iterator[Part]:
    """Speak a text as it comes, in constant memory; arguments as in `read_aloud`.

    Args:
        lines: The text, or its parts in order, for example an open file.

    Yields:
        Parts of the wave, as soon as their batch is spoken.
    """
    pieces = sounding(split_text(lines, lambda t: holds(t, "text")), sounds)

    numbers = count(1)

    def speak_texts(texts: Sequence[str]) -> List[Dict[str, Any]]:
        return speak(texts, [f"text, sentence {next(numbers)}" for _ in texts])

    return join_waves(speak_pieces(pieces, speak_texts, batch_size), fs)
