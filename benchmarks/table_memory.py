"""Memory that the tables of a set take in the stages that read them whole.

    python -m benchmarks.table_memory --hours 65000

Writes the tables of random utterances of 10 s, reads them with the code of each stage,
each in a process of its own, and prints how much the process grew for an utterance, and
what that is for the hours of a corpus.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence

import numpy as np

from benchmarks.many_utterances import SYMBOLS, measure, memory

SECONDS, SYMBOLS_HZ, RATE_HZ, FS = 10, 15, 25, 16000
NUM_JOBS = 200


def write_tables(root: Path, utterances: int) -> None:
    """What stages 3, 4 and 7 leave of one set, without its audio and archives."""
    from espnet_fsqdiff.data.datadir import DataDir, write_table
    from espnet_fsqdiff.text.tokenizer import write_token_list
    from espnet_fsqdiff.token_io import write_int_table

    rng = np.random.default_rng(0)
    utts = [f"speaker{i // 20:07d}_{i:09d}" for i in range(utterances)]
    letters = np.array(SYMBOLS[2:])
    frames, length = SECONDS * RATE_HZ, SECONDS * SYMBOLS_HZ
    data = DataDir({}, {}, {})
    durations = {}
    shares = np.full(length + 2, 1 / (length + 2))
    for utt in utts:
        data.wav[utt] = f"dump/raw/org/train/data/{utt}.flac"
        data.text[utt] = "".join(rng.choice(letters, length))
        data.utt2spk[utt] = utt.split("_")[0]
        # With the symbols at both edges.
        durations[utt] = rng.multinomial(frames - length - 2, shares)
    durations = {utt: row + 1 for utt, row in durations.items()}
    data.write(root / "raw")
    write_table(root / "raw/samples", {utt: SECONDS * FS for utt in utts})
    entry = "dump/tokens/train_tokenizer/train/tokens.1.1.ark"
    places = {utt: f"{entry}:{1280 * i}" for i, utt in enumerate(utts)}
    write_table(root / "tokens/tokens.scp", places)
    write_table(root / "tokens/utt2num_tokens", {utt: frames for utt in utts})
    write_int_table(root / "tokens/durations.txt", durations)
    write_token_list(root / "symbols.txt", SYMBOLS)


def training(root: Path, lengths: str, **tables: str):
    """What ESPnet keeps of a training set: the tables, and the batches by length.

    Args:
        root: As `write_tables` has left it.
        lengths: Table of lengths.
        **tables: `<table>,<kind>` by the name of what they hold.

    Returns:
        The data set and the sampler of its batches.
    """
    from espnet2.samplers.build_batch_sampler import build_batch_sampler
    from espnet2.train.dataset import ESPnetDataset

    triples = []
    for name, words in tables.items():
        path, kind = words.split(",")
        triples.append((str(root / path), name, kind))
    sampler = build_batch_sampler(
        type="numel",
        batch_size=1,
        batch_bins=100 * SECONDS * (FS if "samples" in lengths else RATE_HZ),
        shape_files=[str(root / lengths)],
        sort_in_batch="descending",
        sort_batch="ascending",
        drop_last=False,
        fold_lengths=[],
        padding=True,
    )
    return ESPnetDataset(triples, preprocess=None), sampler


def extraction(root: Path, job: Optional[int] = None):
    """What one of `NUM_JOBS` jobs of stage 7 keeps, or its merge."""
    from espnet_fsqdiff.extraction import plan

    return plan([root / "raw"], root / "out", NUM_JOBS, "key", job=job)


def durations(root: Path):
    """What stage 8 keeps."""
    from espnet_fsqdiff.bin.fit_duration import read_material
    from espnet_fsqdiff.text.tokenizer import TextTokenizer

    tokenizer = TextTokenizer("char", root / "symbols.txt", edge_symbol="<sos/eos>")
    return read_material(root / "tokens", root / "raw/text", tokenizer)


def data_directory(root: Path):
    """What stages 2 and 3 keep."""
    from espnet_fsqdiff.data.datadir import DataDir

    return DataDir.read(root / "raw", check_audio=False)


def tokenizer_training(root: Path):
    """What stages 5 and 6 keep without splits."""
    tables = {"speech": "raw/wav.scp,sound", "text": "raw/text,text"}
    return training(root, "raw/samples", **tables)


def decoder_training(root: Path):
    """What stages 9 and 10 keep without splits."""
    return training(
        root,
        "tokens/utt2num_tokens",
        text="raw/text,text",
        speech_token="tokens/tokens.scp,kaldi_ark",
        durations="tokens/durations.txt,text_int",
    )


def token2mel_training(root: Path):
    """What stage 11 keeps to train token2mel without splits."""
    tables = {"speech": "raw/wav.scp,sound"}
    tables["speech_token"] = "tokens/tokens.scp,kaldi_ark"
    return training(root, "tokens/utt2num_tokens", **tables)


READERS: Dict[str, Callable] = {
    "2 and 3: data directory": data_directory,
    "5 and 6: tokenizer, in one part": tokenizer_training,
    f"7: each of {NUM_JOBS} jobs": lambda root: extraction(root, job=1),
    "7: the merge": extraction,
    "8: durations": durations,
    "9 and 10: diffusion, in one part": decoder_training,
    "11: token2mel, in one part": token2mel_training,
}


def read(name: str, root: Path, pipe) -> None:
    """Read the tables of a stage; sends the bytes it took through `pipe`."""
    before = memory("VmRSS")
    kept = READERS[name](root)
    pipe.send((memory("VmHWM") - before) * 1e6)
    del kept


def report(args: argparse.Namespace) -> None:
    """Print the table."""
    total = args.hours * 3600 / SECONDS
    print(f"| stage | bytes an utterance | GB for {total / 1e6:.1f} M |")
    print("| --- | --: | --: |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), args.utterances)
        for name in READERS:
            each = measure(read, name, Path(folder)) / args.utterances
            print(f"| {name} | {each:.0f} | {each * total / 1e9:.0f} |", flush=True)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=20_000)
    parser.add_argument("--hours", type=float, default=65000, help="of the corpus")
    return parser


def main(cmd: Optional[Sequence[str]] = None) -> None:
    """Run the command."""
    report(get_parser().parse_args(cmd))


if __name__ == "__main__":
    main()
