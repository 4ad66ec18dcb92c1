"""Validate Kaldi data directories, their audio included if asked."""

import argparse
import logging

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.data.audio import load_audio, read_audio
from espnet_fsqdiff.data.datadir import DataDir


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("data_dirs", nargs="+")
    parser.add_argument("--read_audio", action="store_true", help="read every file")
    parser.add_argument("--fs", type=int, help="say which files are at another rate")
    return parser


def main(cmd=None) -> None:
    """Run the command."""
    from tqdm import tqdm

    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for path in args.data_dirs:
        data = DataDir.read(path)
        if args.read_audio or args.fs:
            prompts = ((f"prompt of {u}", n) for u, n in data.prompt_wav.items())
            files = [*data.wav.items(), *prompts]
            bar = tqdm(files, str(path), unit="file", disable=None)
            for utt, name in bar:
                if args.fs:
                    load_audio(name, args.fs, utt)
                else:
                    read_audio(name, utt)
        logging.info(f"{path}: {len(data)} utterances, sound")


if __name__ == "__main__":
    cli(main)
