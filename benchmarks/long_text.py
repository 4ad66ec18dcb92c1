"""One long text, streamed into one file: does memory grow, is every sentence there?"""

import itertools
import time
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from benchmarks.server_memory import resident
from espnet_fsqdiff.speech_files import Line

# Sentences of a paragraph.
PARAGRAPH = 8
# What is read before memory is measured for the first time.
WARM_UP = 16


class Reading(NamedTuple):
    """What came of a long text.

    Attributes:
        pieces: What was spoken at once, in order.
        times: Start and end of each in the file, in seconds.
        seconds: Length of the file.
        took: Seconds of work.
        megabytes: Resident memory after each piece.
    """

    pieces: List[str]
    times: List[Tuple[float, float]]
    seconds: float
    took: float
    megabytes: List[float]


def long_text(sentences: Sequence[str], words: int) -> Iterator[str]:
    """Sentences in paragraphs, over and over, until there are so many words."""
    count = 0
    for number, sentence in enumerate(itertools.cycle(sentences), 1):
        if count >= words:
            return
        count += len(sentence.split())
        yield sentence + ("\n\n" if number % PARAGRAPH == 0 else "\n")


def read_to_file(tts: Any, lines: Sequence[str], path: Path, seed: int) -> Reading:
    """Stream a text into a file, as `fsqdiff-tts -o` does.

    Args:
        tts: A `Text2Speech`.
        lines: The text, in parts.
        path: Of the file.
        seed: Of what is random.
    """
    from espnet_fsqdiff.joining import write_joined
    from espnet_fsqdiff.reading import sounding
    from espnet_fsqdiff.text.sentences import split_text

    split = split_text(iter(lines), tts.holds)
    pieces = [piece.text for piece in sounding(split, tts.sounds)]
    times, megabytes = [], []

    def report(number: int, start: float, end: float) -> None:
        times.append((start, end))
        megabytes.append(resident())

    begun = time.perf_counter()
    seconds = write_joined(path, tts.stream(iter(lines), seed=seed), tts.fs, report)
    took = time.perf_counter() - begun
    return Reading(pieces, times, seconds, took, megabytes)


def cut(reading: Reading, path: Path, folder: Path) -> List[Line]:
    """Write each piece's stretch of the file to a file of its own.

    Returns:
        The pieces, numbered from 1.
    """
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    with soundfile.SoundFile(path) as f:
        for number, (text, (start, end)) in enumerate(
            zip(reading.pieces, reading.times, strict=True), 1
        ):
            line = Line(number, text)
            f.seek(round(start * f.samplerate))
            wave = f.read(round((end - start) * f.samplerate), dtype="float32")
            soundfile.write(folder / line.file_name, wave, f.samplerate)
            lines.append(line)
    return lines


def read_long_text(
    tts: Any, lines: Sequence[Line], words: int, folder: Path, seed: int, nj: int
) -> None:
    """Read so many words and print what came of them.

    Args:
        tts: A `Text2Speech`.
        lines: Sentences.
        words: Of the text, to the end of a sentence.
        folder: Where the file and its table go.
        seed: Of what is random.
        nj: Recognizers at once.
    """
    from benchmarks.voice import LOST, listen, remarks, write_csv

    text = list(long_text([line.text for line in lines], words))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "long_text.flac"
    reading = read_to_file(tts, text, path, seed)
    wanted = " ".join("".join(text).split())
    if " ".join(reading.pieces) != wanted or len(reading.times) != len(reading.pieces):
        raise RuntimeError("the pieces that were spoken are not the text")
    sentences = listen(
        cut(reading, path, folder / "long_text"), folder / "long_text", nj
    )
    write_csv(folder / "long_text.csv", sentences)
    edits, chars = (
        sum(getattr(s, name) for s in sentences) for name in ("char_edits", "chars")
    )
    lost = sum(s.cer > LOST for s in sentences)
    after = reading.megabytes[min(WARM_UP, len(reading.megabytes) - 1) :]
    print(
        f"{len(wanted.split())} words in {len(sentences)} sentences, "
        f"{reading.seconds / 60:.1f} minutes of speech, "
        f"real-time factor {reading.took / reading.seconds:.3f}"
    )
    print(
        f"MB resident after {WARM_UP} sentences, in the middle, at the end, at most: "
        f"{after[0]:.0f}, {after[len(after) // 2]:.0f}, {after[-1]:.0f}, "
        f"{np.max(after):.0f}"
    )
    print(f"CER {edits / chars:.3f}; {lost} sentences with a CER above {LOST}")
    for remark in remarks(sentences):
        print(remark)
