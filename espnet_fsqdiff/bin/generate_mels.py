"""Mels of true tokens, for a vocoder to be tuned to what it will get (stage 11).

Run jobs 1 to N, each as `--num_jobs N --job J`, then once more with `--merge true`.
A job that was killed goes on where it was when started again. The mels are those of
--token2mel_config, or of the tokenizer's own mel decoder: float32, in `mels.scp`.
"""

import argparse
import logging
from pathlib import Path
from typing import List, Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.jobs import add_job_arguments, check_job
from espnet_fsqdiff.espnet_check import require_espnet


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    require_espnet()
    from espnet2.utils.nested_dict_action import NestedDictAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tokenizer_config", type=Path, required=True, help="Tokenizer's config.yaml"
    )
    parser.add_argument(
        "--tokenizer_file", type=Path, required=True, help="Tokenizer's weights"
    )
    parser.add_argument(
        "--token2mel_config", type=Path, help="config.yaml of token2mel_train"
    )
    parser.add_argument("--token2mel_file", type=Path, help="Its weights")
    parser.add_argument(
        "--token2mel_conf",
        action=NestedDictAction,
        default={},
        help="Its sampling: num_steps, solver, guidance_scale, ...",
    )
    parser.add_argument(
        "--token_dirs",
        type=Path,
        nargs="+",
        required=True,
        help="Tokens of sets, e.g. dump/tokens/<tag>/train",
    )
    parser.add_argument(
        "--output_root",
        type=Path,
        required=True,
        help="a directory for each set is made in it",
    )
    add_job_arguments(parser)
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Run one job or the merge."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    check_job(args)
    from espnet_fsqdiff.mel_generation import mel_maker_key, merge, plan, run_job

    files = (
        *(args.tokenizer_config, args.tokenizer_file),
        *(args.token2mel_config, args.token2mel_file),
    )
    # Padding in a batch may move a rounding, so the batch size counts too.
    options = [sorted(args.token2mel_conf.items()), args.batch_size]
    key = mel_maker_key([path for path in files if path is not None], options)
    chunks = plan(
        args.token_dirs, args.output_root, args.num_jobs, key, args.chunk_size
    )
    if args.merge:
        merge(chunks)
        return

    def load():
        import torch

        from espnet_fsqdiff.token2wav import load_chain
        from espnet_fsqdiff.tokenizer import SpeechTokenizer

        torch.set_num_threads(args.num_threads)
        tokenizer = SpeechTokenizer.from_pretrained(*files[:2], device=args.device)
        return load_chain(
            tokenizer.mel_decoder,
            vocoder="griffin_lim",  # any: what counts is what it would get
            token2mel_config=args.token2mel_config,
            token2mel_file=args.token2mel_file,
            token2mel_conf=args.token2mel_conf,
            device=args.device,
        )

    run_job(chunks, args.job, load, args.batch_size)


if __name__ == "__main__":
    cli(main)
