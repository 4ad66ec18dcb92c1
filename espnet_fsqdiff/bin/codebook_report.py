"""Codebooks in figures: distances, optimal accuracy, path KL, sound of neighbours.

One row for each name of --codebook, and one for the trained model of --train_config
(its moving average). With --tokenizer_config and --tokens also how far the sound
moves when a token is replaced by its latent neighbour, relative to a random token.
"""

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.espnet_check import require_espnet


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    require_espnet()
    from espnet2.utils.nested_dict_action import NestedDictAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--codebook", nargs="+", default=[], help="names, e.g. fsq permuted e8"
    )
    parser.add_argument(
        "--codebook_conf",
        action=NestedDictAction,
        default={},
        help="options of all of them, e.g. --codebook_conf seed=1",
    )
    parser.add_argument("--train_config", type=Path, help="of a diffusion model")
    parser.add_argument("--model_file", type=Path, help="its weights")
    parser.add_argument(
        "--ratios",
        type=float,
        nargs="+",
        default=[0.3, 1.0, 2.0],
        help="alpha / sigma at which A(E, r) is taken (default: 0.3 1 2)",
    )
    parser.add_argument(
        "--t0", type=float, default=0.1, help="end of the paths (default: 0.1)"
    )
    parser.add_argument(
        "--num_samples", type=int, default=20000, help="of A (default: 20000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--counts",
        type=Path,
        help="counts.txt of the extraction, as priors of A (default: equal)",
    )
    parser.add_argument("--tokenizer_config", type=Path, help="for the sound")
    parser.add_argument(
        "--tokenizer_file", type=Path, help="(default: the valid.*.ave.pth beside it)"
    )
    parser.add_argument("--tokens", type=Path, help="tokens.scp of real speech")
    parser.add_argument(
        "--num_swaps", type=int, default=1000, help="tokens swapped (default: 1000)"
    )
    parser.add_argument("--format", choices=["markdown", "csv"], default="markdown")
    parser.add_argument("--output", type=Path, help="(default: standard output)")
    return parser


def codebooks(args: argparse.Namespace) -> Iterator[Tuple[str, Any]]:
    """Names and codebooks that the options ask for."""
    from espnet_fsqdiff.codebook import CODEBOOKS, build_codebook

    for name in args.codebook:
        if name not in CODEBOOKS:
            raise InputError(
                f"--codebook {name} is unknown; choose of {', '.join(CODEBOOKS)}"
            )
        try:
            yield name, build_codebook(name, **args.codebook_conf)
        except TypeError as e:
            raise InputError(f"--codebook {name}: --codebook_conf: {e}") from None
    if args.train_config is not None:
        from espnet_fsqdiff.tasks.cdcd import CDCDBuilder
        from espnet_fsqdiff.tasks.common import load_model

        model, config = load_model(CDCDBuilder, args.train_config, args.model_file)
        yield f"{config.codebook}, trained", model.codebook


def read_prior(path: Path, size: int):
    """Weights (K,) of the tokens from counts.txt."""
    import torch

    from espnet_fsqdiff.token_io import read_counts

    counts = read_counts(path)
    if len(counts) != size or counts.sum() == 0:
        raise InputError(
            f"{path}: counts of {counts.sum()} tokens of {len(counts)} codes; give "
            f"those of {size} codes"
        )
    return torch.from_numpy(counts)


class Sound:
    """Swaps in real speech; loads the tokenizer once."""

    def __init__(self, args: argparse.Namespace):
        from espnet_fsqdiff.token_io import read_tokens
        from espnet_fsqdiff.tokenizer import SpeechTokenizer
        from espnet_fsqdiff.tokenizer.swap import SwapDistance

        tokenizer = SpeechTokenizer.from_pretrained(
            args.tokenizer_config, args.tokenizer_file
        )
        self.num_codes = tokenizer.num_codes
        tokens = read_tokens(args.tokens, self.num_codes)
        self.distance = SwapDistance(tokenizer.model, list(tokens.values()))
        self.num_swaps, self.seed = args.num_swaps, args.seed

    def row(self, name: str, codebook) -> Dict[str, float]:
        """Columns about the sound of neighbours."""
        from espnet_fsqdiff.theory import neighbour_mel_distance

        if codebook.num_codes != self.num_codes:
            raise InputError(
                f"codebook {name} has {codebook.num_codes} codes, the tokenizer "
                f"{self.num_codes}; set --codebook_conf"
            )
        found = neighbour_mel_distance(
            codebook, self.distance.tokens, self.distance, self.num_swaps, self.seed
        )
        return {
            "near, dB": found.near,
            "random, dB": found.random,
            "near / random": found.ratio,
            "s.e. of it": found.standard_error,
        }


def report(args: argparse.Namespace) -> Tuple[Dict[str, str], List[Dict[str, Any]]]:
    """Formats by column, and rows."""
    from espnet_fsqdiff.theory import summarize

    sound: Optional[Sound] = None
    if args.tokenizer_config is not None:
        sound = Sound(args)
    rows = []
    for name, codebook in codebooks(args):
        prior = args.counts and read_prior(args.counts, codebook.num_codes)
        found = summarize(
            codebook, args.ratios, args.t0, args.num_samples, args.seed, prior
        )
        row = {
            "codebook": name,
            "K": found.num_codes,
            "n": found.dim,
            "max abs x": found.largest,
            "RMS norm": found.rms_norm,
            "D(E)": found.distance,
            "least D": found.least_distance,
        }
        for r, (accuracy, error) in found.accuracy.items():
            row[f"A({r:g})"] = accuracy
            row[f"s.e. of A({r:g})"] = error
        row[f"KL to t={args.t0:g}, nats"] = found.path_kl
        if sound is not None:
            row.update(sound.row(name, codebook))
        rows.append(row)
    forms = {key: "{:.4g}" for key in rows[0]}
    forms.update({key: "{}" for key in ("codebook", "K", "n")})
    return forms, rows


def check(args: argparse.Namespace) -> None:
    """Refuse options that are missing or out of range."""
    if not args.codebook and args.train_config is None:
        raise InputError("no codebook is named; give --codebook or --train_config")
    if (args.train_config is None) != (args.model_file is None):
        raise InputError("give --train_config and --model_file together")
    if (args.tokenizer_config is None) != (args.tokens is None):
        raise InputError("give --tokenizer_config and --tokens together")
    if not 0 < args.t0 <= 1:
        raise InputError(f"--t0 {args.t0}: give more than 0, at most 1")
    if min(args.ratios) < 0:
        raise InputError(f"--ratios {min(args.ratios)}: give 0 or more")
    for name in ("num_samples", "num_swaps"):
        if getattr(args, name) < 2:
            raise InputError(f"--{name} {getattr(args, name)}: give at least 2")


def main(cmd: Optional[List[str]] = None) -> None:
    """Print or write the table."""
    args = get_parser().parse_args(cmd)
    check(args)
    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.theory.experiments.common import markdown

    forms, rows = report(args)
    if args.format == "markdown":
        text = markdown(forms, rows)
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, list(forms), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    if args.output is None:
        sys.stdout.write(text)
        return
    with atomic_path(args.output) as aside:
        aside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli(main)
