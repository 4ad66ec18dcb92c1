"""Drop utterances that are too long, too short or hold too much text: stage 3.

Audio is not copied: the sets that are written name the same files.
"""

import argparse
import logging
from pathlib import Path
from typing import Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.make_token_list import add_text_arguments, build_text_cutter
from espnet_fsqdiff.data.datadir import DataDir, read_num_samples, write_table
from espnet_fsqdiff.errors import InputError


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--input_root", default="dump/raw/org", help="holds the sets")
    parser.add_argument("--output_root", default="dump/raw")
    parser.add_argument("--sets", nargs="+", required=True, help="names of the sets")
    parser.add_argument("--fs", type=int, default=16000, help="sampling rate in Hz")
    parser.add_argument("--min_wav_duration", type=float, default=0.1, help="seconds")
    parser.add_argument("--max_wav_duration", type=float, default=20, help="seconds")
    parser.add_argument(
        "--token_rate",
        type=float,
        default=25,
        help="speech tokens a second: a text has to have no more symbols than frames",
    )
    add_text_arguments(parser)
    return parser


def reason_to_drop(
    seconds: float, num_text: Optional[int], args: argparse.Namespace
) -> Optional[str]:
    """Return why an utterance is dropped, or None if it stays.

    Args:
        seconds: Length of the audio.
        num_text: Number of text tokens, edge symbols included; None if unknown.
        args: The limits.
    """
    if seconds < args.min_wav_duration:
        return f"{seconds:.2f} s is below --min_wav_duration {args.min_wav_duration}"
    if seconds > args.max_wav_duration:
        return f"{seconds:.2f} s is above --max_wav_duration {args.max_wav_duration}"
    frames = int(seconds * args.token_rate)
    if num_text is not None and num_text > frames:
        return f"{num_text} text tokens (edges included) do not fit {frames} frames"
    return None


def filter_set(args: argparse.Namespace, name: str, cutter) -> None:
    """Filter one set."""
    source = Path(args.input_root) / name
    data = DataDir.read(source)
    num_samples = read_num_samples(source / "utt2num_samples", data.wav)
    stay = []
    for utt in data.wav:
        num_text = None
        if cutter is not None:
            num_text = len(cutter.text2tokens(data.text[utt], utt)) + 2
        reason = reason_to_drop(num_samples[utt] / args.fs, num_text, args)
        if reason is None:
            stay.append(utt)
        else:
            logging.warning(f"{name}: {utt} dropped: {reason}")
    if not stay:
        raise InputError(
            f"{source}: all {len(data)} utterances would be dropped; see "
            "--min_wav_duration and --max_wav_duration"
        )
    target = Path(args.output_root) / name
    write_table(target / "utt2num_samples", {u: num_samples[u] for u in stay})
    data.subset(stay).write(target)
    seconds = sum(num_samples[u] for u in stay) / args.fs
    logging.info(
        f"{target}: {len(stay)} of {len(data)} utterances stay, {seconds / 60:.1f} min"
    )


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # The pieces of bpe are not trained yet at this stage; they are fewer than
    # the characters, so nothing can be said about them here.
    cutter = None if args.token_type == "bpe" else build_text_cutter(args)
    for name in args.sets:
        filter_set(args, name, cutter)


if __name__ == "__main__":
    cli(main)
