"""Upload a packed system to the Hugging Face Hub (stage 15, off by default).

Log in before with `hf auth login`.
"""

import argparse
import logging
from pathlib import Path

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packed", type=Path, required=True, help="the zip file")
    parser.add_argument("--repo_id", required=True, help="<user>/<name> on the Hub")
    parser.add_argument(
        "--readme", type=Path, help="model card (default: the one in the zip)"
    )
    parser.add_argument(
        "--private", action="store_true", help="if the repository is to be made"
    )
    return parser


def upload(packed: Path, repo_id: str, readme: bytes, private: bool = False) -> None:
    """Upload the zip file and the model card.

    Raises:
        InputError: huggingface_hub is not installed or the Hub refuses.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise InputError(
            "huggingface_hub is not installed; run: pip install huggingface_hub"
        ) from None
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        for source, name in ((readme, "README.md"), (str(packed), packed.name)):
            api.upload_file(path_or_fileobj=source, path_in_repo=name, repo_id=repo_id)
            logging.info(f"{repo_id}/{name}: uploaded")
    # The network's errors come from another library in every version of the Hub's.
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise InputError(
            f"--repo_id {repo_id}: {reason}; check the name, the network and the "
            "login (hf auth login)"
        ) from e


def main(cmd=None) -> None:
    """Run the command."""
    import zipfile

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args = get_parser().parse_args(cmd)
    if not args.packed.is_file() or not zipfile.is_zipfile(args.packed):
        raise InputError(f"--packed {args.packed}: no zip file; make it in stage 14")
    try:
        if args.readme is not None:
            readme = args.readme.read_bytes()
        else:
            with zipfile.ZipFile(args.packed) as z:
                readme = z.read("README.md")
    except (FileNotFoundError, KeyError):
        where = args.readme or f"{args.packed}: README.md"
        raise InputError(f"{where}: no model card there; give --readme") from None
    upload(args.packed, args.repo_id, readme, args.private)


if __name__ == "__main__":
    cli(main)
