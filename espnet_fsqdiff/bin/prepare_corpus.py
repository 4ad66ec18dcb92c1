"""Make data directories of a published corpus: stage 1 of its recipe."""

import argparse
import importlib
import logging

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.data.corpora import CORPORA


class _Formatter(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Shows defaults, and leaves the lines of descriptions as they are."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: one command a corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="corpus")
    for name in CORPORA:
        module = importlib.import_module(f"espnet_fsqdiff.data.corpora.{name}")
        command = commands.add_parser(
            name,
            help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            formatter_class=_Formatter,
        )
        module.add_arguments(command)
        command.set_defaults(prepare=module.prepare)
    return parser


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.prepare(args)


if __name__ == "__main__":
    cli(main)
