"""Mels of true tokens, for a vocoder to be tuned to what it will get (stage 11).

Run jobs 1 to N, each as `--num_jobs N --job J`, then once more with `--merge true`.
A job that was killed goes on where it was when started again. The mels are those of
--token2mel_config, or of the tokenizer's own mel decoder: float32, in `mels.scp`.
"""

import argparse
import logging
from pathlib import Path
from typing import List, Optional

from espnet_fsqdiff.bin.chain_arguments import (
    add_inference_config,
    add_token2mel_arguments,
    given_options,
)
from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.devices import check_device
from espnet_fsqdiff.bin.jobs import add_job_arguments, check_job
from espnet_fsqdiff.chain_options import TOKEN2MEL_OPTIONS
from espnet_fsqdiff.espnet_check import require_espnet


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    require_espnet()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tokenizer_config", type=Path, required=True, help="Tokenizer's config.yaml"
    )
    parser.add_argument(
        "--tokenizer_file", type=Path, required=True, help="Tokenizer's weights"
    )
    add_inference_config(parser)
    add_token2mel_arguments(parser)
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
    parser.add_argument(
        "--spk_embeds",
        nargs="+",
        help="xvector.scp or the like of each of --token_dirs, for a token2mel that "
        "was trained with speaker embeddings",
    )
    add_job_arguments(parser)
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Run one job or the merge."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    check_job(args)
    from espnet_fsqdiff.mel_generation import mel_maker_key, merge, plan, run_job

    token2mel = given_options(args, TOKEN2MEL_OPTIONS)
    tokenizer_files = [args.tokenizer_config, args.tokenizer_file]
    files = [*tokenizer_files, token2mel["token2mel_config"]]
    files += [token2mel["token2mel_file"]]
    files = [Path(path) for path in files if path is not None]
    # Padding in a batch may move a rounding, so the batch size counts too.
    sampling = sorted((token2mel["token2mel_conf"] or {}).items())
    key = mel_maker_key(files, [sampling, args.batch_size])
    chunks = plan(
        args.token_dirs,
        args.output_root,
        args.num_jobs,
        key,
        args.chunk_size,
        args.spk_embeds,
    )
    if args.merge:
        merge(chunks)
        return

    def load():
        import torch

        from espnet_fsqdiff.token2wav import load_chain
        from espnet_fsqdiff.tokenizer import SpeechTokenizer

        check_device(args.device)
        torch.set_num_threads(args.num_threads)
        tokenizer = SpeechTokenizer.from_pretrained(
            *tokenizer_files, device=args.device
        )
        return load_chain(
            tokenizer.mel_decoder,
            vocoder="griffin_lim",  # any: what counts is what it would get
            device=args.device,
            **token2mel,
        )

    run_job(chunks, args.job, load, args.batch_size)


if __name__ == "__main__":
    cli(main)
