"""Turn the audio of data directories into speech tokens (stage 7).

Run jobs 1 to N, each as `--num_jobs N --job J`, then once more with `--merge true`.
A job that was killed goes on where it was when started again.
"""

import argparse
import logging
from pathlib import Path
from typing import Any, Callable, Optional, Tuple

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.devices import check_device
from espnet_fsqdiff.bin.jobs import add_job_arguments, check_job
from espnet_fsqdiff.errors import InputError


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tokenizer",
        choices=["fsqdiff", "cosyvoice2"],
        default="fsqdiff",
        help="one that was trained here (default), or CosyVoice 2's; its tokens have "
        "no durations",
    )
    parser.add_argument("--train_config", type=Path, help="its config.yaml")
    parser.add_argument("--model_file", type=Path, help="its weights")
    parser.add_argument(
        "--onnx_file", type=Path, help="speech_tokenizer_v2.onnx, for cosyvoice2"
    )
    parser.add_argument(
        "--data_dirs",
        type=Path,
        nargs="+",
        required=True,
        help="Kaldi data directories, e.g. dump/raw/train dump/raw/valid",
    )
    parser.add_argument(
        "--output_root",
        type=Path,
        required=True,
        help="a directory for each data directory is made in it",
    )
    add_job_arguments(parser)
    return parser


def extract(args: argparse.Namespace, load_tokenizer: Callable[..., Any]) -> None:
    """Run one job or the merge.

    Args:
        args: What `get_parser` gives.
        load_tokenizer: `tokenizer.load_tokenizer`, or what is like it.
    """
    from espnet_fsqdiff.extraction import merge, model_key, plan, run_job

    check_job(args)
    # Padding in a batch may move a rounding, so the batch size counts too.
    key = f"{model_key(*_model_files(args))} {args.batch_size}"
    chunks = plan(
        args.data_dirs,
        args.output_root,
        args.num_jobs,
        key,
        args.chunk_size,
        job=None if args.merge else args.job,
    )
    if args.merge:
        merge(chunks)
        return

    def load():
        import torch

        check_device(args.device)
        torch.set_num_threads(args.num_threads)
        return load_tokenizer(*_model_files(args), device=args.device)

    run_job(chunks, args.job, load, args.batch_size)


def _model_files(args: argparse.Namespace) -> Tuple[Optional[Path], Path]:
    """The tokenizer's configuration, None for CosyVoice 2's, and its weights."""
    ours = ("train_config", "model_file")
    wanted = ours if args.tokenizer == "fsqdiff" else ("onnx_file",)
    for name in (*ours, "onnx_file"):
        if (getattr(args, name) is not None) != (name in wanted):
            said = "is missing" if name in wanted else "does not belong"
            raise InputError(f"--tokenizer {args.tokenizer}: --{name} {said}")
    if args.tokenizer == "fsqdiff":
        return args.train_config, args.model_file
    return None, args.onnx_file


def _load(train_config: Optional[Path], model_file: Path, device: str):
    from espnet_fsqdiff.tokenizer import load_tokenizer

    return load_tokenizer(train_config, model_file, device)


def main(cmd=None) -> None:
    """Run the command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    extract(get_parser().parse_args(cmd), _load)


if __name__ == "__main__":
    cli(main)
