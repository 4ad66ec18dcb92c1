"""How a voice reads a list of sentences: understood, in what time, nothing lost.

    python -m benchmarks.voice sentences.txt --model kathleen --output_dir voice
    python -m benchmarks.voice sentences.txt --output_dir voice --speed_only 20
    python -m benchmarks.voice sentences.txt --output_dir voice --long_text 2000

The first speaks every line of a text, once for each number of takes, has a recognizer
write down what it hears, and prints error rates. Waves, what was heard, and a table of
every sentence stay in --output_dir; a run that was stopped goes on when it is started
again. The second measures time alone, on a machine that should do nothing else. The
third reads so many words as one text, as a stream into one file, and looks for every
sentence in it.
"""

import argparse
import csv
import statistics
import sys
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from benchmarks.tables import row, table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.speech_files import Line, SpeechFolder, read_lines

# An utterance with more wrong characters than this is noise, or not there.
LOST = 0.5
# Speaking rates outside of these multiples of the median are named.
RATES = (0.6, 1.6)
BATCH = 8


class Sentence(NamedTuple):
    """A sentence, and what came of it.

    Attributes:
        line: Its line in the list.
        text: What was to be said.
        heard: What was recognised.
        char_edits: Wrong characters.
        chars: Characters of the text as it is compared.
        word_edits: Wrong words.
        words: Words of the text.
        seconds: Length of the sound, without the silence around it.
    """

    line: int
    text: str
    heard: str
    char_edits: int
    chars: int
    word_edits: int
    words: int
    seconds: float

    @property
    def cer(self) -> float:
        """Its character error rate."""
        return self.char_edits / self.chars

    @property
    def rate(self) -> float:
        """Characters a second."""
        return self.chars / self.seconds


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text_file", type=Path, help="a sentence a line")
    parser.add_argument("--model", default="kathleen", help="as fsqdiff-tts takes it")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_takes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--max_lines", type=int, help="only the first so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--nj", type=int, default=1, help="recognizers at once")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CSV",
        help="table of sentences of another run: how much more is wrong here",
    )
    parser.add_argument(
        "--speed_only", type=int, metavar="N", help="time the first N sentences"
    )
    parser.add_argument(
        "--long_text", type=int, metavar="N", help="read N words as one text"
    )
    return parser


def speak(
    tts: Any, lines: Sequence[Line], folder: SpeechFolder, **options
) -> List[int]:
    """Speak the lines that a folder does not have.

    Args:
        tts: A `Text2Speech`.
        lines: What to say.
        folder: Where the waves go.
        **options: Of `Text2Speech.batch`.

    Returns:
        Numbers of the lines whose waves are empty, silent or not finite, or that
        could not be spoken; they are said on standard error.
    """
    from tqdm import tqdm

    from espnet_fsqdiff.data.audio import check_wave
    from espnet_fsqdiff.speech_files import speak_lines

    missing = [line for line in lines if line not in folder]
    faults = []
    for line, spoken in tqdm(
        speak_lines(tts, missing, BATCH, options),
        desc=folder.folder.name,
        total=len(lines),
        initial=len(lines) - len(missing),
        disable=None,
    ):
        try:
            if isinstance(spoken, InputError):
                raise spoken
            check_wave(np.asarray(spoken["wav"]), f"line {line.number}", "its wave")
            folder.add(line, spoken)
        except InputError as e:
            faults.append(line.number)
            sys.stderr.write(f"{e}\n")
    return faults


def listen(lines: Sequence[Line], folder: Path, nj: int) -> List[Sentence]:
    """Have a recognizer hear the waves of a folder.

    Args:
        lines: Those that were spoken.
        folder: Of a `SpeechFolder`; what was heard is kept in its `heard`.
        nj: Processes.
    """
    from espnet_fsqdiff.data.audio import read_audio
    from espnet_fsqdiff.joining import sound_bounds
    from espnet_fsqdiff.scoring.recognizer import (
        PocketsphinxRecognizer,
        recognize_files,
    )
    from espnet_fsqdiff.scoring.text import edit_counts

    waves = {str(line.number): folder / line.file_name for line in lines}
    heard = recognize_files(waves, PocketsphinxRecognizer(), nj, folder / "heard")
    sentences = []
    for line in lines:
        wave, fs, _ = read_audio(waves[str(line.number)], f"line {line.number}")
        start, end = sound_bounds(wave, fs)
        text = heard[str(line.number)]
        sentences.append(
            Sentence(
                line.number,
                line.text,
                text,
                *edit_counts(line.text, text),
                (end - start) / fs,
            )
        )
    return sentences


def write_csv(path: Path, sentences: Sequence[Sentence]) -> None:
    """A table of every sentence, the worst first."""
    from espnet_fsqdiff.files import atomic_path

    with atomic_path(path) as aside:
        with open(aside, "w", newline="", encoding="utf-8") as f:
            writer = csv.writer(f)
            writer.writerow([*Sentence._fields, "cer", "chars_per_second"])
            for s in sorted(sentences, key=lambda s: (-s.cer, s.line)):
                figures = (f"{s.seconds:.2f}", f"{s.cer:.4f}", f"{s.rate:.2f}")
                writer.writerow([*s[:-1], *figures])


def read_csv(path: Path) -> List[Sentence]:
    """What `write_csv` has written.

    Raises:
        InputError: There is no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; --against takes takes_N.csv of a run")
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    kinds = Sentence.__annotations__
    return [Sentence(**{k: kinds[k](r[k]) for k in Sentence._fields}) for r in rows]


def counts(sentences: Sequence[Sentence], of: str):
    """Edits over lengths of `char` or `word`, for `scoring.bootstrap`."""
    from espnet_fsqdiff.scoring.bootstrap import Counts

    edits = [[getattr(s, f"{of}_edits") for s in sentences]]
    lengths = [[getattr(s, f"{of}s") for s in sentences]]
    return Counts(np.array(edits, float), np.array(lengths, float), (0,))


def odd_rates(sentences: Sequence[Sentence]) -> List[Sentence]:
    """Those spoken much more slowly or quickly than the others."""
    median = statistics.median(s.rate for s in sentences)
    slow, fast = (factor * median for factor in RATES)
    return [s for s in sentences if not slow <= s.rate <= fast]


HEADS = (
    "takes|sentences|CER|WER|CER, less than 1st row|CER > 0.5|characters/s|"
    "empty or silent"
)


def shown(found) -> str:
    """An estimate and its interval."""
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def difference(
    some: Sequence[Sentence], others: Sequence[Sentence], by: str
) -> Tuple[str, int]:
    """CER of some less that of others over the sentences in both, and their number.

    Args:
        some: Those of one run.
        others: Those of another.
        by: What tells which are the same: `line`, or `text` for lists of their own.

    Raises:
        InputError: None is in both.
    """
    from espnet_fsqdiff.scoring.bootstrap import contrast

    runs = [{getattr(s, by): s for s in run} for run in (some, others)]
    both = [key for key in runs[0] if key in runs[1]]
    if not both:
        raise InputError("no sentence is in both runs that are compared")
    one, two = (counts([run[key] for key in both], "char") for run in runs)
    return shown(contrast([(1.0, one), (-1.0, two)])), len(both)


def summary(
    takes: int,
    sentences: Sequence[Sentence],
    first: Sequence[Sentence],
    faults: Sequence[int],
) -> List[str]:
    """A row under `HEADS`.

    Args:
        takes: How many were drawn.
        sentences: What came of it.
        first: What came of the first number of takes.
        faults: Lines without speech.
    """
    from espnet_fsqdiff.scoring.bootstrap import interval

    less = "" if first is sentences else difference(first, sentences, "line")[0]
    lost = sum(s.cer > LOST for s in sentences)
    rates = sorted(s.rate for s in sentences)
    return [
        str(takes),
        str(len(sentences)),
        shown(interval(counts(sentences, "char"))),
        shown(interval(counts(sentences, "word"))),
        less,
        f"{100 * lost / len(sentences):.1f} %",
        f"{rates[0]:.1f} to {rates[-1]:.1f}, median {statistics.median(rates):.1f}",
        str(len(faults)),
    ]


def remarks(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Lines that name the sentences that went wrong."""
    for s in sorted(sentences, key=lambda s: -s.cer):
        if s.cer > LOST:
            yield f"* line {s.line}, CER {s.cer:.2f}: {s.text} / heard: {s.heard}"
    for s in odd_rates(sentences):
        yield f"* line {s.line}, {s.rate:.1f} characters a second: {s.text}"


def intelligibility(args: argparse.Namespace, lines: Sequence[Line]) -> None:
    """Print the table of error rates, a row as soon as it is known."""
    from espnet_fsqdiff.pretrained import voices
    from espnet_fsqdiff.speech_files import digest

    path = {v.name: v.path for v in voices()}.get(args.model, Path(args.model))
    model = digest(path) if path.exists() else args.model
    tts, first = None, None
    for text in list(table(HEADS, []))[:-1]:
        print(text, flush=True)
    said: List[str] = []
    for takes in args.num_takes:
        options = dict(seed=args.seed, num_takes=takes)
        settings = dict(options, model=model, backend=args.backend)
        folder = SpeechFolder(args.output_dir / f"takes_{takes}", settings)
        faults = []
        if any(line not in folder for line in lines):
            tts = tts or load(args)
            faults = speak(tts, lines, folder, **options)
        there = [line for line in lines if line in folder]
        if not there:
            raise InputError(f"{args.text_file}: not one line could be spoken")
        sentences = listen(there, folder.folder, args.nj)
        write_csv(args.output_dir / f"takes_{takes}.csv", sentences)
        first = first or sentences
        print(row(summary(takes, sentences, first, faults)), flush=True)
        said.append(f"\nTakes {takes}:\n")
        if args.against:
            less, number = difference(sentences, read_csv(args.against), "text")
            said.append(f"* CER less that of {args.against}, {number} texts: {less}")
        said += remarks(sentences)
    print("\n".join(said))


def load(args: argparse.Namespace) -> Any:
    """The voice."""
    import torch

    from espnet_fsqdiff.bin.tts import load as load_voice

    if args.threads:
        torch.set_num_threads(args.threads)
    return load_voice(args.model, args.device, args.backend, batch_size=BATCH)


def time_rows(
    tts: Any, texts: Sequence[str], num_takes: Sequence[int], seed: int
) -> Iterator[List[str]]:
    """Rows of the table of times: one sentence after the other, and in batches."""
    for takes in num_takes:
        for size in (1, BATCH):
            options = dict(seed=seed, num_takes=takes)
            tts.batch(texts[:size], **options)  # what the first call pays once
            seconds = sampling = spoken = 0.0
            for at in range(0, len(texts), size):
                results = tts.batch(texts[at : at + size], **options)
                length = sum(len(r["wav"]) / r["fs"] for r in results)
                spoken += length
                # Both are of the whole batch.
                seconds += results[0]["rtf"] * length
                sampling += sum(
                    r["rtf_sampling"] * len(r["wav"]) / r["fs"] for r in results
                )
            rtf = seconds / spoken
            yield [
                str(takes),
                str(size),
                f"{spoken / len(texts):.1f}",
                f"{rtf:.3f}",
                f"{sampling / spoken:.3f}",
                f"{100 * sampling / seconds:.0f} %",
            ]


def speed(args: argparse.Namespace, lines: Sequence[Line]) -> None:
    """Print the table of real-time factors."""
    import torch

    from benchmarks.machine import describe

    tts = load(args)
    print(
        "".join(f"* {text}\n" for text in describe(torch.device(args.device))),
        flush=True,
    )
    heads = "takes|sentences at once|s each|RTF|RTF of sampling|share of sampling"
    texts = [line.text for line in lines[: args.speed_only]]
    for text in table(heads, time_rows(tts, texts, args.num_takes, args.seed)):
        print(text, flush=True)


def main(cmd: Optional[List[str]] = None) -> None:
    """Run what is asked for."""
    args = get_parser().parse_args(cmd)
    lines = list(read_lines(args.text_file))[: args.max_lines]
    if not lines:
        raise InputError(f"{args.text_file}: it has no text; give a sentence a line")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    if args.speed_only:
        speed(args, lines)
    elif args.long_text:
        from benchmarks.long_text import read_long_text

        read_long_text(
            load(args), lines, args.long_text, args.output_dir, args.seed, args.nj
        )
    else:
        intelligibility(args, lines)


if __name__ == "__main__":
    from espnet_fsqdiff.bin.cli import cli

    cli(main)
