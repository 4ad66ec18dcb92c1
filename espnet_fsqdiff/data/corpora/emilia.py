"""Emilia: tens of thousands of hours from the web, in shards (CC BY-NC 4.0, by path).

Its terms have to be accepted by each user and forbid handing it on, so it is not
downloaded. `<corpus>/<language>/` or `<corpus>/Emilia/<language>/` holds the shards:

* WebDataset: `EN-B000000.tar` with `EN_B00000_S00000_W000000.json` and `.mp3`, ...;
* jsonl: `EN_B00000.jsonl` beside `EN_B00000/EN_B00000_S00000/mp3/*.mp3`.

Each shard becomes data directories of its own, `<output_dir>/shards/<shard>/<set>`; any
number of jobs share the shards. A shard that is done is kept, unless it or an option
that matters has changed. `--merge true` then makes the sets. Memory is that of one
shard, whatever their number.

Texts are written as they are spoken (`spoken_english`), once and here: what cannot be
spoken (other scripts, music signs) is left out and counted, as are other languages,
poor quality and lengths outside of the limits. Faults of the corpus (no text, no audio,
another length than said) are counted in `faults.tsv` of the shard; more than
`--max_faults` of a shard are an error.

The split: the first 8 bytes of SHA-256 of the id without its number (`_W000000`), over
2^64, are below `--valid_share` for validation, below the sum of both shares for test.
So the utterances that one speaker has in one recording stay together.
"""

import argparse
import hashlib
import json
import logging
import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

from espnet_fsqdiff.data.corpora.finding import add_corpus_arguments, find_corpus
from espnet_fsqdiff.data.corpora.merging import merge_speakers, merge_tables
from espnet_fsqdiff.data.corpora.shards import (
    Sample,
    list_shards,
    open_audio,
    read_shard,
)
from espnet_fsqdiff.data.corpora.utterances import Utterance, data_dir, one_line
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.text.english import spoken_english

SETS = ("train", "valid", "test")
UTT = re.compile(r"([A-Z]{2}_[A-Za-z0-9_-]+)_W\d+")
SPEAKER = re.compile(r"[!-~]+")  # ASCII that can be seen
# Options on which it depends what a shard gives.
RULES = (
    *("audio_dir", "language", "min_dnsmos", "min_seconds", "max_seconds"),
    *("valid_share", "test_share"),
)
# Headers of MP3 give the length to within a frame or two; more is another recording.
LENGTH_TOLERANCE = 0.5


class Fault(Exception):
    """A sample is not what the corpus promises."""


class Dropped(Exception):
    """A sample is left out by a rule of ours."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add_corpus_arguments(parser, download=False)
    parser.add_argument("--language", default="EN", help="folder of the language")
    parser.add_argument("--audio_dir", default="downloads/emilia", help="of tar shards")
    parser.add_argument("--min_dnsmos", type=float, default=3.0, help="quality, 1 to 5")
    parser.add_argument("--min_seconds", type=float, default=1.0)
    parser.add_argument("--max_seconds", type=float, default=30.0)
    parser.add_argument("--valid_share", type=float, default=1e-4)
    parser.add_argument("--test_share", type=float, default=1e-4)
    parser.add_argument("--max_faults", type=float, default=0.01, help="of a shard")
    parser.add_argument("--num_jobs", type=int, default=1)
    parser.add_argument("--job", type=int, default=1, help="from 1; every num_jobs-th")
    parser.add_argument(
        "--merge",
        choices=("true", "false"),
        default="false",
        help="make the sets of shards that are done",
    )


def find_shards(corpus: Path, language: str) -> List[Path]:
    """Return the shards of a language.

    Raises:
        InputError: There are none.
    """
    for folder in (corpus / language, corpus / "Emilia" / language):
        if folder.is_dir():
            return list_shards(folder)
    if corpus.name == language:
        return list_shards(corpus)
    raise InputError(
        f"{corpus}: no folder {language} in it; give the folder of Emilia as --corpus, "
        "the language's code in capitals as --language"
    )


def set_of(utt: str, valid_share: float, test_share: float) -> str:
    """Return the set that an utterance belongs to, by the rule above."""
    digest = hashlib.sha256(utt.rpartition("_W")[0].encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < valid_share:
        return "valid"
    return "test" if place < valid_share + test_share else "train"


def check_sample(sample: Sample, args: argparse.Namespace) -> Utterance:
    """Return the utterance of a sample; its `wav` is that of a jsonl shard.

    Raises:
        Fault: The sample is damaged.
        Dropped: It is not wanted.
    """
    info = sample.info
    if info is None:
        raise Fault("no description, or no JSON object")
    if sample.audio is None:
        raise Fault("no audio")
    utt = info.get("id", sample.key)
    if not isinstance(utt, str) or not (match := UTT.fullmatch(utt)):
        raise Fault(f"its id is {utt!r}")
    speaker = str(info.get("speaker") or match[1])
    if not SPEAKER.fullmatch(speaker):
        raise Fault(f"its speaker is {speaker!r}")
    language = str(info.get("language") or args.language)
    if language.upper() != args.language:
        raise Dropped(f"language {language}")
    if _number(info, "dnsmos", args.min_dnsmos) < args.min_dnsmos:
        raise Dropped("dnsmos")
    seconds = _seconds(sample, info)
    if not args.min_seconds <= seconds <= args.max_seconds:
        raise Dropped("length")
    text = one_line(str(info.get("text") or ""))
    if not text:
        raise Fault("no text")
    try:
        text = spoken_english(text)
    except InputError:
        text = ""
    if not text:
        raise Dropped("text that cannot be spoken")
    wav = sample.audio if isinstance(sample.audio, Path) else Path()
    return Utterance(utt, wav, text, speaker)


def _number(info: Dict[str, Any], name: str, default: float) -> float:
    value = info.get(name, default)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise Fault(f"its {name} is {value!r}")
    return value


def _seconds(sample: Sample, info: Dict[str, Any]) -> float:
    """Return the length of the audio, which has to be the one that is said."""
    import soundfile

    try:
        header = soundfile.info(open_audio(sample))
    except (soundfile.SoundFileError, RuntimeError):
        raise Fault("damaged audio") from None
    seconds = header.frames / header.samplerate
    said = _number(info, "duration", seconds)
    if abs(seconds - said) > LENGTH_TOLERANCE:
        raise Fault(f"audio of {seconds:.2f} s instead of {said:.2f}")
    return seconds


class Shard:
    """One shard on its way to data directories."""

    def __init__(self, path: Path, args: argparse.Namespace):
        self.path, self.args = path, args
        self.folder = Path(args.output_dir) / "shards" / path.stem
        self.audio = Path(args.audio_dir) / path.stem
        self.utterances: Dict[str, Utterance] = {}
        self.faults: Dict[str, str] = {}
        self.dropped: Counter = Counter()
        self.rules = {name: getattr(args, name) for name in RULES}
        self.rules["bytes"] = path.stat().st_size

    def is_done(self) -> bool:
        """Tell whether the data directories are there, made by the same rules."""
        return self.folder.is_dir() and read_stats(self.folder)["rules"] == self.rules

    def prepare(self) -> None:
        """Make the shard's data directories, unless that is done.

        Raises:
            InputError: The shard is damaged, or has too many faults.
        """
        if self.is_done():
            logging.info(f"{self.folder}: done before")
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        aside = self.audio.with_name(self.audio.name + ".tmp")
        shutil.rmtree(aside, ignore_errors=True)
        for sample in read_shard(self.path):
            self._add(sample, aside)
        self._judge()
        if aside.is_dir():
            shutil.rmtree(self.audio, ignore_errors=True)
            aside.rename(self.audio)
        self._write()

    def _add(self, sample: Sample, aside: Path) -> None:
        try:
            utterance = check_sample(sample, self.args)
            if utterance.utt in self.utterances:
                raise Fault("it is there twice")
        except Fault as e:
            self.faults[" ".join(sample.key.split())] = str(e)
            return
        except Dropped as e:
            self.dropped[str(e)] += 1
            return
        if isinstance(sample.audio, bytes):
            name = utterance.utt + sample.suffix
            aside.mkdir(parents=True, exist_ok=True)
            (aside / name).write_bytes(sample.audio)
            utterance = utterance._replace(wav=self.audio / name)
        self.utterances[utterance.utt] = utterance

    def _judge(self) -> None:
        total = len(self.utterances) + len(self.faults) + self.dropped.total()
        if len(self.faults) > self.args.max_faults * total:
            utt, reason = next(iter(self.faults.items()))
            raise InputError(
                f"{self.path}: {len(self.faults)} of {total} utterances are damaged, "
                f"first {utt}: {reason}; fetch the shard again, or allow it by "
                "--max_faults"
            )

    def _write(self) -> None:
        aside = self.folder.with_name(self.folder.name + ".tmp")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        shares = self.args.valid_share, self.args.test_share
        for name in SETS:
            part = [
                u for u in self.utterances.values() if set_of(u.utt, *shares) == name
            ]
            data_dir(part).write(aside / name)
        lines = "".join(f"{utt}\t{why}\n" for utt, why in self.faults.items())
        (aside / "faults.tsv").write_bytes(lines.encode(errors="backslashreplace"))
        stats = {
            "utterances": len(self.utterances),
            "faults": len(self.faults),
            "dropped": dict(self.dropped),
        }
        logging.info(f"{self.folder}: {stats}")
        stats = json.dumps({**stats, "rules": self.rules})
        (aside / "stats.json").write_text(stats + "\n", encoding="utf-8")
        aside.rename(self.folder)


def read_stats(folder: Path) -> Dict[str, Any]:
    """Return counts and rules of a shard that is done."""
    return json.loads((folder / "stats.json").read_text(encoding="utf-8"))


def merge(shards: List[Shard], output_dir: Path) -> None:
    """Make the sets of all shards' data directories.

    Raises:
        InputError: A shard is not done, or by other options, or a set is empty.
    """
    for shard in shards:
        if not shard.is_done():
            raise InputError(
                f"{shard.path}: not done with these options; run its job again"
            )
    folders = [shard.folder for shard in shards]
    total: Counter = Counter()
    for folder in folders:
        stats = read_stats(folder)
        total.update({k: stats[k] for k in ("utterances", "faults")})
        total.update({f"dropped, {k}": n for k, n in stats["dropped"].items()})
    with atomic_path(output_dir / "stats.json") as aside:
        aside.write_text(json.dumps(total, indent=1) + "\n", encoding="utf-8")
    logging.info(f"{len(folders)} shards: {dict(total)}")
    for name in SETS:
        parts, target = [folder / name for folder in folders], output_dir / name
        for table in ("text", "utt2spk"):
            merge_tables([part / table for part in parts], target / table)
        speakers = merge_speakers([p / "spk2utt" for p in parts], target / "spk2utt")
        # It stands for the set, so it comes last.
        number = merge_tables([part / "wav.scp" for part in parts], target / "wav.scp")
        if number == 0:
            raise InputError(
                f"{target}: no utterance in it; give more shards or a larger "
                f"--{name}_share"
            )
        logging.info(f"{target}: {number} utterances, {speakers} speakers")


def prepare(args: argparse.Namespace) -> None:
    """Make the data directories of this job's shards, or merge all."""
    shares = args.valid_share + args.test_share
    if min(args.valid_share, args.test_share) <= 0 or shares >= 1:
        raise InputError("--valid_share and --test_share: above 0, below 1 together")
    if not 1 <= args.job <= args.num_jobs:
        raise InputError(f"--job {args.job}: from 1 to --num_jobs {args.num_jobs}")
    paths = find_shards(find_corpus(args), args.language)
    if args.merge == "true":
        merge([Shard(path, args) for path in paths], Path(args.output_dir))
        return
    for path in paths[args.job - 1 :: args.num_jobs]:
        Shard(path, args).prepare()
