"""Fit the duration predictor on extracted tokens (stage 8)."""

import argparse
import json
import logging
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError


def _str_or_none(value: str) -> Optional[str]:
    return None if value.lower() in ("none", "null", "") else value


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "valid"):
        parser.add_argument(
            f"--{name}_tokens",
            type=Path,
            required=True,
            help=f"tokens of the {name} set, e.g. dump/tokens/<tag>/{name}",
        )
        parser.add_argument(
            f"--{name}_text",
            type=Path,
            required=True,
            help=f"its text, e.g. dump/raw/{name}/text",
        )
    parser.add_argument("--token_type", default="char", help="(default: char)")
    parser.add_argument("--token_list", type=Path, required=True)
    parser.add_argument("--bpemodel", type=_str_or_none)
    parser.add_argument("--cleaner", type=_str_or_none)
    parser.add_argument("--g2p", type=_str_or_none)
    parser.add_argument(
        "--edge_symbol",
        type=_str_or_none,
        default="<sos/eos>",
        help="put before and after every text (default: <sos/eos>)",
    )
    parser.add_argument(
        "--kind",
        choices=["table", "context"],
        help="what duration.yaml holds (default: context if the alignment, "
        "durations.txt, is there, else table)",
    )
    parser.add_argument("--output_dir", type=Path, required=True)
    return parser


class Material(NamedTuple):
    """A set to fit or to judge on.

    Attributes:
        texts: Text ids of N utterances, each (S,).
        num_tokens: Speech tokens of each.
        durations: Aligned frames of every symbol, each (S,), or None.
    """

    texts: List[np.ndarray]
    num_tokens: List[int]
    durations: Optional[List[np.ndarray]]


def read_material(tokens_dir: Path, text_file: Path, tokenizer) -> Material:
    """Read a set and check that its parts belong together."""
    from espnet_fsqdiff.data.datadir import read_table
    from espnet_fsqdiff.token_io import read_int_table

    lengths_file = tokens_dir / "utt2num_tokens"
    if not lengths_file.is_file():
        raise InputError(f"{lengths_file}: no such file; extract tokens (stage 7)")
    lengths = {utt: int(n[0]) for utt, n in read_int_table(lengths_file).items()}
    if not lengths:
        raise InputError(f"{lengths_file}: no utterance in it; run stage 7 again")
    words = read_table(text_file)
    for utt in lengths:
        if utt not in words:
            raise InputError(
                f"{text_file}: utterance {utt} of {lengths_file} is missing; give the "
                "text of the same set"
            )
    ids = {utt: np.asarray(tokenizer.encode(words[utt], utt_id=utt)) for utt in lengths}
    durations = None
    durations_file = tokens_dir / "durations.txt"
    if durations_file.is_file():
        aligned = read_int_table(durations_file)
        for utt, n in lengths.items():
            frames = aligned.get(utt, np.zeros(0))
            if len(frames) != len(ids[utt]) or frames.sum() != n or frames.min() < 1:
                raise InputError(
                    f"{durations_file}: utterance {utt} does not fit its text and "
                    "tokens; use the tokenizer's token list, or run stage 7 again"
                )
        durations = [aligned[utt] for utt in lengths]
    return Material(list(ids.values()), list(lengths.values()), durations)


def fit(args: argparse.Namespace) -> None:
    """Fit both kinds where the material allows, save one, report on both."""
    from espnet_fsqdiff import duration
    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.text.tokenizer import TextTokenizer

    tokenizer = TextTokenizer(
        args.token_type,
        args.token_list,
        cleaner=args.cleaner,
        g2p=args.g2p,
        bpemodel=args.bpemodel,
        edge_symbol=args.edge_symbol,
    )
    names = list(tokenizer.token_list)
    train = read_material(args.train_tokens, args.train_text, tokenizer)
    valid = read_material(args.valid_tokens, args.valid_text, tokenizer)

    kind = args.kind
    if kind is None:
        kind = "table" if train.durations is None else "context"
        there = "is not" if train.durations is None else "is"
        logging.info(f"{args.train_tokens}/durations.txt {there} there: kind {kind}")
    models: Dict[str, duration.AbsDuration] = {
        "table": duration.DurationTable.fit(names, train.texts, train.num_tokens)
    }
    if train.durations is not None:
        models["context"] = duration.ContextDuration.fit(
            names, train.texts, train.durations
        )
    if kind not in models:
        raise InputError(
            f"{args.train_tokens}/durations.txt: no such file, --kind {kind} needs the "
            "alignment; train the tokenizer with a recognition head or use --kind table"
        )

    figures = {name: _judge(model, valid) for name, model in models.items()}
    for name, result in figures.items():
        listed = ", ".join(f"{k} {v:.4g}" for k, v in result.items())
        logging.info(f"{name}{' (chosen)' if name == kind else ''}: {listed}")
    models[kind].save(args.output_dir / "duration.yaml")
    stats = {
        "kind": kind,
        "mean_relative_error": figures[kind]["mean_relative_error"],
        "num_train_utts": len(train.texts),
        "num_valid_utts": len(valid.texts),
        "kinds": figures,
    }
    with atomic_path(args.output_dir / "stats.json") as aside:
        aside.write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")


def _judge(model, valid: Material) -> Dict[str, float]:
    """Errors on a set: of the length, and in frames of where symbols end."""
    from espnet_fsqdiff.duration import boundary_error, length_error

    result = {"mean_relative_error": length_error(model, valid.texts, valid.num_tokens)}
    if valid.durations is not None:
        pair = valid.texts, valid.durations
        result["mean_boundary_error"] = boundary_error(model, *pair)
        result["mean_boundary_error_at_true_length"] = boundary_error(
            model, *pair, scaled=True
        )
    return result


def main(cmd=None) -> None:
    """Run the command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fit(get_parser().parse_args(cmd))


if __name__ == "__main__":
    cli(main)
