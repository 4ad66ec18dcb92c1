"""Where a corpus comes from: a given path, the shared folder, else a download."""

import argparse
import logging
import os
from pathlib import Path
from typing import List, Optional

from espnet_fsqdiff.errors import InputError

# Beside the project, seen from a recipe's directory.
SHARED = "../../../../shared"


def add_corpus_arguments(
    parser: argparse.ArgumentParser, shared: Optional[str] = None, download: bool = True
) -> None:
    """Add what every corpus needs.

    Args:
        parser: The parser.
        shared: Name of the corpus under `shared/corpora` beside the project.
        download: Whether it can be downloaded.
    """
    ways = ["--shared_dir if it is there"] if shared else []
    ways += ["a download"] if download else []
    parser.add_argument(
        "--corpus",
        "--corpus_dir",
        required=not ways,
        help="its folder" + (f"; by default {', else '.join(ways)}" if ways else ""),
    )
    if shared:
        parser.add_argument("--shared_dir", default=f"{SHARED}/corpora/{shared}")
    if download:
        parser.add_argument("--download_dir", default="downloads")
    parser.add_argument("--output_dir", default="data", help="data directories go here")
    parser.add_argument(
        "--nj", type=int, default=4 * (os.cpu_count() or 1), help="files read at once"
    )


def find_corpus(args: argparse.Namespace) -> Optional[Path]:
    """Return the folder of `--corpus`, else the shared one, else None.

    Raises:
        InputError: `--corpus` names no folder.
    """
    if args.corpus:
        if not Path(args.corpus).is_dir():
            raise InputError(f"--corpus {args.corpus}: no such folder; correct it")
        return Path(args.corpus)
    shared = getattr(args, "shared_dir", None)
    if shared is None or not Path(shared).is_dir():
        return None
    logging.info(f"corpus: {shared}")
    return Path(shared)


def folder_with(marker: str, folder: Path, corpus: str) -> Path:
    """Return `folder`, or the folder in it, that holds a file or folder `marker`.

    Archives put their content into a folder of its own, or do not; either is given
    as the corpus.

    Args:
        marker: What has to be there.
        folder: Where to look.
        corpus: Its name, for the message.

    Raises:
        InputError: There is none.
    """
    for candidate in [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]:
        if (candidate / marker).exists():
            return candidate
    raise InputError(
        f"{folder}: no {marker} in it; give the folder of {corpus} that has it as "
        "--corpus"
    )


def read_list(path: str) -> List[str]:
    """Read names, one a line, of a list that belongs to the recipe.

    Raises:
        InputError: There is no such file.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such list; it belongs to the recipe")
    return Path(path).read_text(encoding="utf-8").split()
