"""Make a small corpus with Debian's `flite`: stage 1 of the mini recipe."""

import argparse
import errno
import hashlib
import logging
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Tuple

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.data.audio import read_audio
from espnet_fsqdiff.data.datadir import DataDir
from espnet_fsqdiff.data.sentences import (
    DOMAINS,
    draw_sentences,
    sentences_from_lines,
)
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path, is_full


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output_dir", default="data", help="data directories go here")
    parser.add_argument("--wav_dir", default="downloads", help="audio files go here")
    parser.add_argument("--num_train", type=int, default=1000, help="utterances")
    parser.add_argument("--num_valid", type=int, default=45, help="utterances")
    parser.add_argument("--num_test", type=int, default=45, help="utterances")
    parser.add_argument("--domain", choices=DOMAINS, default="small")
    parser.add_argument(
        "--text_file",
        help="sentences to speak, one a line, instead of generated ones (with "
        "--domain open)",
    )
    parser.add_argument("--voice", default="rms", help="voice of flite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nj", type=int, default=os.cpu_count(), help="processes")
    return parser


def speak(text: str, voice: str, path: Path) -> None:
    """Have flite say `text` into `path`, unless that file is there and whole."""
    if path.is_file():
        try:
            read_audio(path, path.stem)
            return
        except InputError as e:
            logging.warning(f"{e}; it is made again")
    with atomic_path(path) as aside:
        done = subprocess.run(
            ["flite", "-voice", voice, "-t", text, "-o", str(aside)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if is_full(aside):
            # flite itself says nothing, or leaves half of the file.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if done.returncode or not aside.is_file() or aside.stat().st_size <= 44:
            output = " ".join(done.stdout.split())
            raise InputError(
                f'flite made no audio of "{text}" with voice {voice} ({output}); '
                "see `flite -lv` for the voices"
            )
        read_audio(aside, f'flite, "{text}"')


def check_flite(voice: str) -> None:
    """Raise InputError if flite or its voice is not installed."""
    if shutil.which("flite") is None:
        raise InputError("flite is not installed; run: apt-get install flite")
    voices = subprocess.run(["flite", "-lv"], capture_output=True, text=True).stdout
    if voice not in voices.split(":")[-1].split():
        # flite itself would fall back to its default voice in silence.
        raise InputError(f"flite has no voice {voice}; choose from: {voices.strip()}")


def sample_sets(args: argparse.Namespace) -> Dict[str, List[str]]:
    """Draw the sentences of the three sets, no sentence in two of them."""
    # Test and valid first: they stay the same when the training set grows.
    sizes = {"test": args.num_test, "valid": args.num_valid, "train": args.num_train}
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"--num_{name} {size}: give a number above 0")
    total = sum(sizes.values())
    if args.text_file is not None:
        if args.domain != "open":
            raise InputError("--text_file goes with --domain open; add that option")
        path = Path(args.text_file)
        if not path.is_file():
            raise InputError(f"--text_file {path}: no such file; correct the path")
        lines = path.read_text(encoding="utf-8").splitlines()
        sentences = sentences_from_lines(lines, total, args.seed)
    else:
        sentences = draw_sentences(total, args.seed, args.domain)
    sets = {}
    for name, size in sizes.items():
        sets[name], sentences = sentences[:size], sentences[size:]
    return sets


def main(cmd=None) -> None:
    """Run the command."""
    from tqdm import tqdm

    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    check_flite(args.voice)
    jobs: List[Tuple[str, Path]] = []
    dirs: Dict[str, DataDir] = {}
    for name, sentences in sample_sets(args).items():
        data = DataDir({}, {}, {})
        for number, text in enumerate(sentences, 1):
            utt = f"{args.voice}_{name}_{number:05d}"
            # Named after what is said: any recipe run can use it again.
            digest = hashlib.sha1(text.encode()).hexdigest()[:12]
            path = Path(args.wav_dir) / args.voice / f"{digest}.wav"
            data.wav[utt], data.text[utt] = str(path), text
            data.utt2spk[utt] = args.voice
            jobs.append((text, path))
        dirs[name] = data
    # Threads: each of them waits for a process of flite.
    with ThreadPoolExecutor(max(1, args.nj)) as pool:
        done = [pool.submit(speak, text, args.voice, path) for text, path in jobs]
        try:
            for future in tqdm(done, desc="flite", unit="utt", disable=None):
                future.result()
        finally:
            for future in done:
                future.cancel()
    for name, data in dirs.items():
        data.write(Path(args.output_dir) / name)
        logging.info(f"{args.output_dir}/{name}: {len(data)} utterances")


if __name__ == "__main__":
    cli(main)
