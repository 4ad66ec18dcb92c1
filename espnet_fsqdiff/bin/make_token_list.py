"""Make the list of text tokens from the training text: stage 4.

The other texts are checked against it: a symbol that the training text does not
have is an error that names the utterances.
"""

import argparse
import logging
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Dict, List

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.data.datadir import read_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path, parts_beside
from espnet_fsqdiff.text.tokenizer import (
    EDGE_SYMBOL,
    TOKEN_TYPES,
    TextTokenizer,
    mend,
    unknown_message,
    write_token_list,
)

# Utterances named in one message.
MAX_NAMED = 5


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how text is cut."""
    parser.add_argument("--token_type", choices=TOKEN_TYPES, default="char")
    parser.add_argument(
        "--cleaner", help="cleaners separated by commas, e.g. lower or spoken_english"
    )
    parser.add_argument("--g2p", help="pronunciation for token_type phn")


def build_text_cutter(args: argparse.Namespace, bpemodel=None) -> TextTokenizer:
    """Build the tokenizer of the options, without a token list."""
    g2p = None if args.g2p in (None, "", "none") else args.g2p
    return TextTokenizer(
        args.token_type, cleaner=args.cleaner, g2p=g2p, bpemodel=bpemodel
    )


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--train_text", required=True, help="Kaldi text file")
    parser.add_argument("--check_text", nargs="*", default=[], help="Kaldi text files")
    parser.add_argument("--output_dir", required=True, help="tokens.txt goes here")
    add_text_arguments(parser)
    parser.add_argument(
        "--nbpe", type=int, default=100, help="sentencepiece pieces for token_type bpe"
    )
    return parser


def train_bpe(texts: List[str], nbpe: int, output_dir: Path, clean) -> Path:
    """Train a sentencepiece model `bpe.model` on cleaned texts."""
    import sentencepiece

    model = output_dir / "bpe.model"
    with atomic_path(model) as aside, parts_beside(aside) as folder:
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter([clean(t) for t in texts]),
                model_prefix=str(folder / "bpe"),
                vocab_size=nbpe,
                model_type="bpe",
                character_coverage=1.0,
                # Nothing is rewritten behind the cleaner's back.
                normalization_rule_name="identity",
                # The pieces alone: our list has its own edge symbol.
                bos_id=-1,
                eos_id=-1,
                minloglevel=2,
            )
        except RuntimeError as e:
            reason = " ".join(str(e).split())
            raise InputError(
                f"--nbpe {nbpe}: sentencepiece cannot train on this text ({reason}); "
                "choose another number"
            ) from None
        os.replace(folder / "bpe.vocab", output_dir / "bpe.vocab")
        shutil.copyfile(folder / "bpe.model", aside)
    return model


def cut_all(cutter: TextTokenizer, texts: Dict[str, str], path: str) -> Dict[str, List]:
    """Cut the texts of one file."""
    try:
        return {utt: cutter.text2tokens(text, utt) for utt, text in texts.items()}
    except InputError as e:
        raise InputError(f"{path}: {e}") from None


def check_known(cutter: TextTokenizer, symbols: List[str], path: str) -> None:
    """Raise InputError if the texts of `path` hold more than `symbols`."""
    known = set(symbols)
    culprits, unknown = [], Counter()
    for utt, tokens in cut_all(cutter, read_table(path), path).items():
        unseen = [t for t in dict.fromkeys(tokens) if t not in known]
        if unseen:
            culprits.append(utt)
            unknown.update(unseen)
    if culprits:
        names = ", ".join(culprits[:MAX_NAMED])
        more = len(culprits) - MAX_NAMED
        raise InputError(
            f"{path}: {names}{f' and {more} more' if more > 0 else ''}: "
            f"{unknown_message(list(unknown))} made from the training text; "
            f"{mend(list(unknown))}, or have it in the training text"
        )


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    output_dir = Path(args.output_dir)
    texts = read_table(args.train_text)
    if not texts:
        raise InputError(f"{args.train_text}: no text in it; run stage 3 again")
    bpemodel = None
    if args.token_type == "bpe":
        from espnet_fsqdiff.text.normalize import build_cleaner

        clean = build_cleaner(args.cleaner)
        bpemodel = train_bpe(list(texts.values()), args.nbpe, output_dir, clean)
    cutter = build_text_cutter(args, bpemodel)
    counts = Counter(
        token
        for tokens in cut_all(cutter, texts, args.train_text).values()
        for token in tokens
    )
    if EDGE_SYMBOL in counts:
        raise InputError(
            f"{args.train_text}: {EDGE_SYMBOL} stands in a text; remove it"
        )
    symbols = [EDGE_SYMBOL] + sorted(counts)
    for path in args.check_text:
        check_known(cutter, symbols, path)
    write_token_list(output_dir / "tokens.txt", symbols)
    logging.info(f"{output_dir}/tokens.txt: {len(symbols)} symbols")


if __name__ == "__main__":
    cli(main)
