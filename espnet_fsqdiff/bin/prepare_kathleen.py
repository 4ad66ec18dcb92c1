"""Make data directories of the Kathleen corpus: stage 1 of its recipe.

Reads both layouts: a folder with `metadata.tsv` and one file a prompt, and
the upstream repository with `data/<prompt>_<time>.wav|txt`, one pair a take, of
which the last take of each prompt is used. Prompts whose takes differ by more
than 1.25 in length are left out.
"""

import argparse
import csv
import logging
import re
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.data.datadir import DataDir
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

URL = "https://github.com/rhasspy/dataset-voice-kathleen/archive/c51cb97.zip"
MAX_TAKE_RATIO = 1.25
SPEAKER = "kathleen"


class Prompt(NamedTuple):
    """One utterance of the corpus."""

    wav: Path
    text: str


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--corpus_dir",
        help="the corpus in either layout; by default --shared_dir if it is there, "
        "else a download",
    )
    parser.add_argument(
        "--shared_dir", default="../../../../shared/corpora/kathleen", help="see above"
    )
    parser.add_argument("--download_dir", default="downloads")
    parser.add_argument("--url", default=URL, help="zip archive of the corpus")
    parser.add_argument("--valid_list", default="local/valid.list")
    parser.add_argument("--test_list", default="local/test.list")
    parser.add_argument("--output_dir", default="data")
    return parser


def read_metadata_layout(corpus: Path) -> Dict[str, Prompt]:
    """Read `metadata.tsv` with columns id, path, flag, text (and others)."""
    prompts: Dict[str, Prompt] = {}
    path = corpus / "metadata.tsv"
    with open(path, encoding="utf-8", newline="") as f:
        rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        lacking = {"id", "path", "flag", "text"} - set(rows.fieldnames or ())
        if lacking:
            raise InputError(f"{path}: no column {min(lacking)}; is it this corpus?")
        for row in rows:
            if row["id"] in prompts:
                raise InputError(
                    f"{path}: prompt {row['id']} is there twice; keep one line of it"
                )
            if row["flag"] != "takes_differ":
                prompts[row["id"]] = Prompt(corpus / row["path"], row["text"] or "")
    return prompts


def read_takes_layout(corpus: Path) -> Dict[str, Prompt]:
    """Read `data/<prompt>_<time>.wav|txt` of the upstream repository."""
    import soundfile

    takes: Dict[str, List[Path]] = defaultdict(list)
    for wav in (corpus / "data").glob("*.wav"):
        match = re.fullmatch(r"(.+)_([^_]+)", wav.stem)
        if match is None:
            raise InputError(f"{wav}: not named <prompt>_<time>.wav; rename or move it")
        takes[match[1]].append(wav)
    prompts: Dict[str, Prompt] = {}
    for prompt, wavs in sorted(takes.items()):
        # Times are numbers or dates; both sort once their lengths are equal.
        wavs.sort(key=lambda w: (len(w.stem), w.stem))
        try:
            seconds = [soundfile.info(str(w)).duration for w in wavs]
        except (soundfile.SoundFileError, RuntimeError):
            raise InputError(
                f"{prompt}: a take in {corpus}/data cannot be read; fetch it again"
            ) from None
        if max(seconds) > MAX_TAKE_RATIO * min(seconds):
            continue
        script = wavs[-1].with_suffix(".txt")
        if not script.is_file():
            raise InputError(f"{prompt}: {script} is missing; fetch it again")
        text = " ".join(script.read_text(encoding="utf-8").split())
        prompts[prompt] = Prompt(wavs[-1], text)
    return prompts


def read_corpus(corpus: Path) -> Dict[str, Prompt]:
    """Read the corpus in the layout that is found."""
    if (corpus / "metadata.tsv").is_file():
        return read_metadata_layout(corpus)
    if (corpus / "data").is_dir():
        return read_takes_layout(corpus)
    raise InputError(
        f"{corpus}: neither metadata.tsv nor data/ in it; give the folder of the "
        "Kathleen corpus as --corpus_dir"
    )


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip archive; refuse members that leave `target` or are links."""
    aside = target.with_name(target.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    root = aside.resolve()
    with zipfile.ZipFile(archive) as z:
        for member in z.infolist():
            inside = (root / member.filename).resolve().is_relative_to(root)
            if not inside or stat.S_ISLNK(member.external_attr >> 16):
                raise InputError(
                    f"{archive}: member {member.filename} would be written outside of "
                    "the folder; this is not the corpus, delete the file"
                )
        z.extractall(root)
    aside.rename(target)


def download(url: str, folder: Path) -> Path:
    """Fetch and unpack the corpus, unless that was done before.

    Returns:
        The folder that holds `data/` or `metadata.tsv`.
    """
    target = folder / "kathleen"
    if not target.is_dir():
        archive = folder / "kathleen.zip"
        if not archive.is_file():
            logging.info(f"downloading {url}")
            try:
                with atomic_path(archive) as aside, open(aside, "wb") as f:
                    with urllib.request.urlopen(url, timeout=60) as response:
                        shutil.copyfileobj(response, f)
            except (urllib.error.URLError, OSError) as e:
                raise InputError(
                    f"{url} cannot be downloaded ({e}); fetch it elsewhere and give "
                    "its folder as --corpus_dir"
                ) from None
        try:
            unpack(archive, target)
        except zipfile.BadZipFile:
            raise InputError(
                f"{archive}: no whole zip archive; delete it and run stage 1 again"
            ) from None
    # GitHub puts everything into one folder named after the commit.
    found = [p.parent for n in ("metadata.tsv", "data") for p in target.rglob(n)]
    return min(found, key=lambda p: len(p.parts), default=target)


def read_list(path: str) -> List[str]:
    """Read prompt ids, one a line."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such list of prompts; it belongs to the recipe")
    return Path(path).read_text(encoding="utf-8").split()


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.corpus_dir:
        corpus = Path(args.corpus_dir)
    elif Path(args.shared_dir).is_dir():
        corpus = Path(args.shared_dir)
    else:
        corpus = download(args.url, Path(args.download_dir))
    logging.info(f"corpus: {corpus}")
    prompts = read_corpus(corpus)
    sets = {"valid": read_list(args.valid_list), "test": read_list(args.test_list)}
    held_out = sets["valid"] + sets["test"]
    for prompt in held_out:
        if held_out.count(prompt) > 1:
            raise InputError(
                f"prompt {prompt} is twice in {args.valid_list} and {args.test_list}; "
                "keep one line of it"
            )
        if prompt not in prompts:
            raise InputError(
                f"prompt {prompt} of the lists is not in {corpus} (or its takes "
                "differ); complete the corpus"
            )
    sets["train"] = sorted(set(prompts) - set(held_out))
    for name, names in sets.items():
        data = DataDir({}, {}, {})
        for prompt in names:
            utt = f"{SPEAKER}_{prompt}"
            data.wav[utt] = str(prompts[prompt].wav)
            data.text[utt] = prompts[prompt].text
            data.utt2spk[utt] = SPEAKER
        data.write(Path(args.output_dir) / name)
        DataDir.read(Path(args.output_dir) / name)
        logging.info(f"{args.output_dir}/{name}: {len(names)} utterances")


if __name__ == "__main__":
    cli(main)
