"""Format audio: mono files at one sampling rate, stage 2 of a recipe.

Files that are there, whole and made of the same recordings are kept, so a killed run
goes on where it was. The prompts of a set become mono files at their own rate, since
what goes on with them may want a higher one than the tokenizer.
"""

import argparse
import hashlib
import logging
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.data.audio import Notices, read_audio, resample
from espnet_fsqdiff.data.datadir import DataDir, read_table, write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path, stamp

FORMATS = ("flac", "wav")


class Job(NamedTuple):
    """One recording to format; `fs` is None where it keeps its own rate."""

    utt: str
    source: Path
    target: Path
    fs: Optional[int]


class Done(NamedTuple):
    """What became of a job: `kept` tells that its file was there and whole.

    `rate` is that of the source, or what was asked for where the file was kept.
    """

    num_samples: int
    channels: int
    rate: Optional[int]
    kept: bool


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--input_root", default="data", help="holds the sets")
    parser.add_argument("--output_root", default="dump/raw/org")
    parser.add_argument("--sets", nargs="+", required=True, help="names of the sets")
    parser.add_argument(
        "--keep_as_in",
        help="directory of sets of the same names: their utterances alone",
    )
    parser.add_argument("--fs", type=int, default=16000, help="sampling rate in Hz")
    parser.add_argument("--audio_format", choices=FORMATS, default="flac")
    parser.add_argument("--nj", type=int, default=os.cpu_count(), help="processes")
    return parser


def drop_outdated(jobs: List[Job], table: Path) -> None:
    """Remove what was formatted from other recordings than are named now.

    Args:
        jobs: One for each utterance.
        table: Has the stamps of the recordings; written before anything is
            formatted, so that it is known what a killed run made its files of.
    """
    before = read_table(table) if table.is_file() else {}
    now = {job.utt: stamp(job.source) for job in jobs}
    for job in jobs:
        if before.get(job.utt) != now[job.utt]:
            # One table serves all formats.
            for audio_format in FORMATS:
                job.target.with_suffix(f".{audio_format}").unlink(missing_ok=True)
    write_table(table, now)


def num_samples_if_whole(job: Job) -> Optional[int]:
    """Return the length of the formatted file if it can be kept, else None."""
    target = job.target
    if not target.is_file() or not job.source.is_file():
        return None
    try:
        wave, rate, channels = read_audio(target, job.utt)
    except InputError:
        return None
    wanted = rate if job.fs is None else job.fs
    return len(wave) if (rate, channels) == (wanted, 1) else None


def format_one(job: Job) -> Done:
    """Write one formatted file, unless it is there and whole."""
    import soundfile

    num_samples = num_samples_if_whole(job)
    if num_samples is not None:
        return Done(num_samples, 1, job.fs, True)
    wave, rate, channels = read_audio(job.source, job.utt)
    fs = rate if job.fs is None else job.fs
    # Resampling can swing a little beyond full scale.
    wave = np.clip(resample(wave, rate, fs), -1.0, 1.0)
    with atomic_path(job.target) as aside:
        soundfile.write(str(aside), wave, fs, subtype="PCM_16")
    return Done(len(wave), channels, rate, False)


def format_set(args: argparse.Namespace, name: str, pool, notices: Notices) -> None:
    """Format one set and write its data directory, `wav.scp` last."""
    from tqdm import tqdm

    data = DataDir.read(Path(args.input_root) / name)
    if args.keep_as_in is not None:
        wanted = read_table(Path(args.keep_as_in) / name / "wav.scp")
        unknown = [utt for utt in wanted if utt not in data.wav]
        if unknown:
            raise InputError(
                f"{args.keep_as_in}/{name}: {unknown[0]} is not in {args.input_root}/"
                f"{name}; run stages 2 and 3 again"
            )
        data = data.subset(wanted)
    target_dir = Path(args.output_root) / name
    # A set whose audio may change must not look finished.
    (target_dir / "wav.scp").unlink(missing_ok=True)
    jobs = [
        Job(
            utt,
            Path(source),
            target_dir / "data" / f"{utt}.{args.audio_format}",
            args.fs,
        )
        for utt, source in data.wav.items()
    ]
    drop_outdated(jobs, target_dir / "sources")
    results = pool.map(format_one, jobs, chunksize=8)
    num_samples, kept = {}, 0
    bar = tqdm(zip(jobs, results), name, len(jobs), unit="utt", disable=None)
    for job, done in bar:
        notices.conversion(job.utt, done.channels, done.rate, args.fs)
        num_samples[job.utt] = done.num_samples
        kept += done.kept
    data.prompt_wav = format_prompts(data.prompt_wav, target_dir, args, pool)
    write_table(target_dir / "utt2num_samples", num_samples)
    data.wav = {job.utt: str(job.target) for job in jobs}
    data.write(target_dir)
    minutes = sum(num_samples.values()) / args.fs / 60
    logging.info(
        f"{target_dir}: {len(jobs)} utterances, {minutes:.1f} min, "
        f"{kept} of them were there already"
    )


def format_prompts(
    prompts: Dict[str, str], target_dir: Path, args: argparse.Namespace, pool
) -> Dict[str, str]:
    """Format the prompts of a set, each recording once; return the new names."""
    jobs: Dict[str, Job] = {}
    for utt, source in prompts.items():
        # By its recording, not by the utterance: another choice is another file.
        digest = hashlib.sha256(stamp(Path(source)).encode()).hexdigest()[:12]
        name = f"{Path(source).stem}_{digest}.{args.audio_format}"
        job = Job(f"prompt of {utt}", Path(source), target_dir / "prompts" / name, None)
        jobs.setdefault(source, job)
    unique: List[Job] = list(jobs.values())
    kept = sum(done.kept for done in pool.map(format_one, unique, chunksize=8))
    if unique:
        logging.info(
            f"{target_dir}: {len(unique)} prompts, {kept} of them were there already"
        )
    return {utt: str(jobs[source].target) for utt, source in prompts.items()}


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.fs < 1 or args.nj < 1:
        raise InputError("--fs and --nj have to be above 0; correct them")
    notices = Notices()
    pool = ProcessPoolExecutor(args.nj)
    try:
        for name in args.sets:
            format_set(args, name, pool, notices)
    finally:
        pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    cli(main)
