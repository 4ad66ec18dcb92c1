"""LibriTTS: 585 hours of 2456 speakers (CC BY 4.0).

`<subset>/<reader>/<chapter>/<reader>_<chapter>_<segment>_<utterance>.wav` at 24,000 Hz,
with `.normalized.txt` (numbers and abbreviations as words), which is used, and
`.original.txt` beside it. The split is the corpus's own.

With `--librispeech` there is one more set, `librispeech_pc`: the zero-shot pairs of
LibriSpeech-PC test-clean, each with its prompt. LibriTTS's training sets and
LibriSpeech's test-clean have no reader in common.
"""

import argparse
from pathlib import Path
from typing import List, Optional

from espnet_fsqdiff.data.corpora import librispeech
from espnet_fsqdiff.data.corpora.fetching import Source, obtain
from espnet_fsqdiff.data.corpora.finding import (
    SHARED,
    add_corpus_arguments,
    find_corpus,
    folder_with,
)
from espnet_fsqdiff.data.corpora.prompts import choose_prompts, write_prompts
from espnet_fsqdiff.data.corpora.utterances import (
    Utterance,
    check_sets,
    read_text,
    write_sets,
)
from espnet_fsqdiff.errors import InputError

RATE = 24000
_URL = "https://www.openslr.org/resources/60/"
# The checksums are torchaudio's (torchaudio.datasets.LIBRITTS).
ARCHIVES = {
    name: Source(f"{_URL}{name}.tar.gz", sha256)
    for name, sha256 in {
        "train-clean-100": "c5608bf1ef74bb621935382b8399c5cdd51cd3ee47cec51f00f885a64c6"
        "c7f6b",
        "train-clean-360": "ce7cff44dcac46009d18379f37ef36551123a1dc4e5c8e4eb73ae57260d"
        "e4886",
        "train-other-500": "e35f7e34deeb2e2bdfe4403d88c8fdd5fbf64865cae41f027a185a6965f"
        "0a5df",
        "dev-clean": "da0864e1bd26debed35da8a869dd5c04dfc27682921936de7cff9c8a254dbe1a",
        "dev-other": "d413eda26f3a152ac7c9cf3658ef85504dfb1b625296e5fa83727f5186cca79c",
        "test-clean": "234ea5b25859102a87024a4b9b86641f5b5aaaf1197335c95090cde04fe9a4f5",
        "test-other": "33a5342094f3bba7ccc2e0500b9e72d558f72eb99328ac8debe1d9080402f10d",
    }.items()
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add_corpus_arguments(parser)
    for name, subsets in {
        "train": ["train-clean-100", "train-clean-360"],
        "valid": ["dev-clean"],
        "test": ["test-clean"],
    }.items():
        parser.add_argument(
            f"--{name}_subsets", nargs="+", choices=sorted(ARCHIVES), default=subsets
        )
    parser.add_argument("--rate", type=int, default=RATE, help="of the files, in Hz")
    parser.add_argument(
        "--librispeech",
        help="folder with test-clean of LibriSpeech, or `download`: makes the set "
        "librispeech_pc",
    )
    parser.add_argument(
        "--pairs",
        default=f"{SHARED}/texts/librispeech_pc_test_clean_cross_sentence.tsv",
        help="the pairs of librispeech_pc, such as F5-TTS publishes",
    )


def read_subset(root: Path) -> List[Utterance]:
    """Read one subset.

    Raises:
        InputError: A recording has no normalized text, or such a text no recording.
    """
    utterances = []
    texts = {
        p.with_name(p.name.removesuffix(".normalized.txt")): p
        for p in root.glob("*/*/*.normalized.txt")
    }
    for wav in sorted(root.glob("*/*/*.wav")):
        text = texts.pop(wav.with_suffix(""), None)
        if text is None:
            raise InputError(
                f"{wav.stem}: no {wav.stem}.normalized.txt beside {wav}; unpack "
                f"{root.name} again"
            )
        speaker = wav.stem.split("_")[0]
        utterances.append(Utterance(wav.stem, wav, read_text(text, wav.stem), speaker))
    if texts:
        stem = min(texts)
        raise InputError(
            f"{stem.name}: no {stem.name}.wav beside its text in {stem.parent}; unpack "
            f"{root.name} again"
        )
    return utterances


def subset_root(corpus: Optional[Path], download_dir: str, subset: str) -> Path:
    """Return the folder of a subset, which is downloaded where no corpus is given."""
    folder = corpus
    if folder is None:
        folder = obtain(ARCHIVES[subset], Path(download_dir) / "LibriTTS", subset)
    return folder_with(subset, folder, "LibriTTS") / subset


def write_zero_shot(args: argparse.Namespace) -> None:
    """Write the set `librispeech_pc`."""
    folder = Path(args.librispeech)
    if args.librispeech == "download":
        folder = Path(args.download_dir) / "LibriSpeech"
        folder = obtain(librispeech.ARCHIVES["test-clean"], folder, "test-clean")
        folder = folder / "LibriSpeech" / "test-clean"
    root = librispeech.subset_folder(folder, "test-clean")
    pairs = librispeech.read_pairs(Path(args.pairs), root)
    prompts = {pair.target.utt: pair.prompt for pair in pairs}
    check_sets(
        {"prompts": list({p.utt: p for p in prompts.values()}.values())},
        librispeech.RATE,
        args.nj,
    )
    sets = {"librispeech_pc": [pair.target for pair in pairs]}
    write_sets(sets, args, librispeech.RATE)
    write_prompts(Path(args.output_dir) / "librispeech_pc", prompts)


def prepare(args: argparse.Namespace) -> None:
    """Make the data directories; `test` with prompts of the same speaker."""
    if args.librispeech:
        librispeech.check_list(Path(args.pairs))
    corpus = find_corpus(args)
    sets = {
        name: [
            utterance
            for subset in getattr(args, f"{name}_subsets")
            for utterance in read_subset(subset_root(corpus, args.download_dir, subset))
        ]
        for name in ("train", "valid", "test")
    }
    seconds = write_sets(sets, args, args.rate)
    write_prompts(
        Path(args.output_dir) / "test",
        choose_prompts(sets["test"], sets["test"], seconds["test"]),
    )
    if args.librispeech:
        write_zero_shot(args)
