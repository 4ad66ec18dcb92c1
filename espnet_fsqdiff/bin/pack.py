"""Pack a trained system into one zip file (stage 14)."""

import argparse
import logging
from pathlib import Path

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.packing import PRECISIONS, pack


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outpath", type=Path, required=True, help="the zip file")
    parser.add_argument(
        "--train_config",
        required=True,
        help="config.yaml of the diffusion or language model",
    )
    parser.add_argument("--model_file", required=True, help="its weights")
    parser.add_argument(
        "--tokenizer_config", required=True, help="config.yaml of the tokenizer"
    )
    parser.add_argument("--tokenizer_file", required=True, help="its weights")
    parser.add_argument(
        "--token2mel_config", help="config.yaml of token to mel, if there is one"
    )
    parser.add_argument("--token2mel_file", help="its weights")
    parser.add_argument(
        "--vocoder_config", help="config.yaml of a trained vocoder, if there is one"
    )
    parser.add_argument("--vocoder_file", help="its weights")
    parser.add_argument("--duration_file", help="duration.yaml")
    parser.add_argument("--inference_config", help="decoding options, yaml")
    parser.add_argument("--readme", help="model card, README.md")
    parser.add_argument(
        "--licence",
        required=True,
        help="of the training data, such as CC0-1.0: what may be done with the voice",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="pack for inference alone, compressed, large tensors in this precision; "
        "without it the files go in as they are, and training can go on from them",
    )
    return parser


def main(cmd=None) -> None:
    """Run the command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    files = vars(get_parser().parse_args(cmd))
    outpath, licence, precision = map(files.pop, ("outpath", "licence", "precision"))
    given = {role: path for role, path in files.items() if path}
    pack(outpath, given, licence, precision)
    logging.info(f"{outpath}: {outpath.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    cli(main)
