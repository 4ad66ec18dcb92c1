"""Pack a trained system into one zip file (stage 14)."""

import argparse
import logging
from pathlib import Path

from espnet_fsqdiff.bin.cli import cli


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
    parser.add_argument("--duration_file", help="duration.yaml")
    parser.add_argument("--inference_config", help="decoding options, yaml")
    parser.add_argument("--readme", help="model card, README.md")
    parser.add_argument(
        "--licence", help="a note on what may be done with the model and its voice"
    )
    return parser


def main(cmd=None) -> None:
    """Run the command."""
    from espnet_fsqdiff.packing import pack

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    files = vars(get_parser().parse_args(cmd))
    outpath, licence = files.pop("outpath"), files.pop("licence")
    pack(outpath, {role: path for role, path in files.items() if path}, licence)
    logging.info(f"{outpath}: {outpath.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    cli(main)
