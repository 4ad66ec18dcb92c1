"""Memory that the data of a large training set takes, whole and in splits.

    python -m benchmarks.many_utterances --utterances 200000 --splits 1 8

Writes random texts and tokens in shards, splits their tables with ESPnet's split_scps,
and reads one epoch of batches as the training of the diffusion decoder does
(`--multiple_iterator true` with more than one split), each in a process of its own.
Prints its resident memory before the tables are read, the peak while batches are, and
how much of it is theirs for 100,000 utterances.
"""

import argparse
import multiprocessing
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence

import numpy as np

TABLES = ("text", "tokens.scp", "utt2num_tokens")
PRELOAD = ["espnet2.tasks.abs_task", "espnet_fsqdiff.tasks.cdcd"]
PRELOAD += ["espnet_fsqdiff.tasks.trainer"]
SYMBOLS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz"]
LEVELS = [3] * 8


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=200_000)
    parser.add_argument("--splits", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--shard_size", type=int, default=2000, help="utterances")
    parser.add_argument("--batch_bins", type=int, default=10_000, help="tokens")
    parser.add_argument("--num_workers", type=int, default=0)
    return parser


def write_corpus(folder: Path, utterances: int, shard_size: int, seed: int = 0) -> None:
    """Texts of 10 to 30 letters and 40 to 80 tokens each, in shards."""
    from espnet_fsqdiff.arks import write_ark

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    letters = np.array(SYMBOLS[2:])
    files = {name: open(folder / name, "w", encoding="utf-8") for name in TABLES}
    for first in range(0, utterances, shard_size):
        count = min(shard_size, utterances - first)
        utts = [f"speaker{i % 1000:04d}_{i:09d}" for i in range(first, first + count)]
        lengths = rng.integers(40, 81, count)
        drawn = rng.integers(0, int(np.prod(LEVELS)), lengths.sum())
        tokens = dict(zip(utts, np.split(drawn, lengths.cumsum()[:-1])))
        ark = folder / f"tokens.{first // shard_size + 1}.ark"
        offsets = write_ark(ark, tokens)
        for utt, length in zip(utts, lengths):
            text = "".join(rng.choice(letters, rng.integers(10, 31)))
            files["text"].write(f"{utt} {text}\n")
            files["tokens.scp"].write(f"{utt} {ark}:{offsets[utt]}\n")
            files["utt2num_tokens"].write(f"{utt} {length}\n")
    for file in files.values():
        file.close()


def split(folder: Path, splits: int) -> Path:
    """The tables of `folder`, or a directory of them in so many parts."""
    if splits == 1:
        return folder
    from espnet2.bin.split_scps import split_scps

    parts = folder / f"splits{splits}"
    shutil.rmtree(parts, ignore_errors=True)
    split_scps([str(folder / t) for t in TABLES], splits, None, str(parts), "WARNING")
    return parts


def command(folder: Path, token_list: Path, args: argparse.Namespace) -> List[str]:
    """Options of the task that concern its data."""
    words = ["--token_list", token_list, "--num_workers", args.num_workers]
    words += ["--batch_type", "numel", "--batch_bins", args.batch_bins]
    words += ["--codebook_conf", f"levels={LEVELS}"]
    words += ["--train_shape_file", folder / "utt2num_tokens"]
    data = "--train_data_path_and_name_and_type"
    words += [data, f"{folder}/text,text,text"]
    words += [data, f"{folder}/tokens.scp,speech_token,kaldi_ark"]
    return [str(word) for word in words]


def memory(key: str) -> float:
    """`VmRSS` (now) or `VmHWM` (peak) of this process, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{key}:\s*(\d+) kB", status)[1]) * 1024 / 1e6


def read_epoch(words: Sequence[str], splits: int, pipe) -> None:
    """Read every batch of an epoch; sends what it took through `pipe`."""
    from espnet2.train.distributed_utils import DistributedOption

    from espnet_fsqdiff.tasks.cdcd import CDCDTask

    args = CDCDTask.get_parser().parse_args(words)
    before, start = memory("VmRSS"), time.perf_counter()
    build = CDCDTask.build_iter_factory
    if splits > 1:
        build = CDCDTask.build_multiple_iter_factory
    factory = build(args, DistributedOption(), "train")
    utterances = batches = 0
    for names, batch in factory.build_iter(1):
        utterances += len(names)
        batches += 1
    pipe.send(
        {
            "utterances": utterances,
            "batches": batches,
            "before": before,
            "peak": memory("VmHWM"),
            "seconds": time.perf_counter() - start,
        }
    )


def measure(read: Callable, *args: Any) -> Any:
    """What `read(*args, pipe)` sends, called in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    ours, theirs = context.Pipe()
    process = context.Process(target=read, args=(*args, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        raise SystemExit(f"{read.__name__}{args} failed") from None
    process.join()
    return found


def main(cmd: Optional[Sequence[str]] = None) -> None:
    """Print the table."""
    from espnet_fsqdiff.text.tokenizer import write_token_list

    args = get_parser().parse_args(cmd)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_token_list(root / "symbols.txt", SYMBOLS)
        write_corpus(root / "train", args.utterances, args.shard_size)
        print("| splits | utterances | batches | MB before | MB peak", end="")
        print(" | MB per 100,000 | utterances/s |")
        print("| --: | --: | --: | --: | --: | --: | --: |", flush=True)
        for splits in args.splits:
            data = split(root / "train", splits)
            found = measure(
                read_epoch, command(data, root / "symbols.txt", args), splits
            )
            share = (found["peak"] - found["before"]) / found["utterances"] * 1e5
            rate = found["utterances"] / found["seconds"]
            print(
                f"| {splits} | {found['utterances']} | {found['batches']} | "
                f"{found['before']:.0f} | {found['peak']:.0f} | {share:.0f} | "
                f"{rate:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
