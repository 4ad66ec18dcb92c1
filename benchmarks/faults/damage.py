"""Files that are broken or taken away before a stage runs."""

import logging
import os
import random
import shutil
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence

from benchmarks.faults.kills import INTERVAL, outcome, run_again, state_of
from benchmarks.faults.recipe import Recipe
from benchmarks.faults.records import Records
from benchmarks.faults.verdict import Verdict, culprits, failure, success

WAYS = ("remove", "truncate", "flip")
NUM_FLIPS = 8
RAW = "dump/tiny/raw"
ORG = f"{RAW}/org/train"
TRAIN = f"{RAW}/train"
AUDIO = f"{ORG}/data/rms_train_00003.flac"
SYMBOLS = "dump/tiny/token_list/char/tokens.txt"
TOKENS = "dump/tiny/tokens/train_tokenizer_test"
ARK = f"{TOKENS}/train/tokens.1.1.ark"
TOKENIZER = "exp/tiny/tokenizer_train_tokenizer_test"
DURATION = "exp/tiny/duration_train_tokenizer_test"
STATS = "exp/tiny/tokenizer_stats"
CDCD_STATS = "exp/tiny/cdcd_stats_train_tokenizer_test"
CDCD = "exp/tiny/cdcd_train_cdcd_test"
MELS = "exp/tiny/token2mel_train_token2mel_test"
VOCODER = "exp/tiny/vocoder_train_vocoder_test"
TUNED = f"{VOCODER}_train_vocoder_test_train_token2mel_test"
SPEECH = f"{CDCD}/decode/test"
WORDS = ("wav.scp", "text", "utt2spk", "spk2utt")
AVERAGE = "valid.loss.ave.pth"

# What each stage reads: ways to break it, by file.
INPUTS = {
    2: {
        **{f"data/tiny/train/{name}": "remove truncate" for name in WORDS},
        "downloads/rms/*.wav": "remove truncate",
    },
    3: {f"{ORG}/{name}": "remove truncate" for name in (*WORDS, "utt2num_samples")},
    4: {f"{TRAIN}/text": "remove truncate", f"{RAW}/valid/text": "remove truncate"},
    5: {
        SYMBOLS: "remove truncate",
        AUDIO: "remove truncate flip",
        f"{TRAIN}/wav.scp": "remove truncate",
        f"{TRAIN}/text": "remove truncate",
        f"{TRAIN}/utt2num_samples": "remove truncate",
    },
    6: {
        SYMBOLS: "remove truncate",
        AUDIO: "remove truncate flip",
        f"{TRAIN}/wav.scp": "remove truncate",
        f"{TRAIN}/text": "remove truncate",
        f"{STATS}/train/speech_shape": "remove truncate",
        f"{STATS}/train/feats_stats.npz": "remove truncate flip",
    },
    7: {
        AUDIO: "remove truncate flip",
        f"{TRAIN}/wav.scp": "remove truncate",
        f"{TRAIN}/text": "remove truncate",
        f"{TOKENIZER}/config.yaml": "remove truncate",
        f"{TOKENIZER}/{AVERAGE}": "remove truncate flip",
    },
    8: {
        SYMBOLS: "remove truncate",
        f"{TRAIN}/text": "remove truncate",
        f"{TOKENS}/train/durations.txt": "remove truncate",
        f"{TOKENS}/valid/durations.txt": "remove truncate",
        f"{TOKENS}/train/utt2num_tokens": "remove truncate",
    },
    9: {
        f"{TRAIN}/text": "remove truncate",
        f"{TOKENS}/train/tokens.scp": "remove truncate",
        f"{TOKENS}/train/durations.txt": "remove truncate",
        f"{TOKENS}/train/utt2num_tokens": "remove truncate",
        ARK: "remove truncate flip",
    },
    10: {
        f"{TRAIN}/text": "remove truncate",
        f"{TOKENS}/train/tokens.scp": "remove truncate",
        f"{TOKENS}/train/durations.txt": "remove truncate",
        ARK: "remove truncate flip",
        f"{CDCD_STATS}/train/speech_token_shape": "remove truncate",
        f"{TOKENIZER}/config.yaml": "remove truncate",
        f"{DURATION}/duration.yaml": "remove truncate",
    },
    11: {
        AUDIO: "remove truncate flip",
        ARK: "remove truncate flip",
        f"{TRAIN}/wav.scp": "remove truncate",
        f"{TOKENS}/train/utt2num_tokens": "remove truncate",
        f"{TOKENIZER}/config.yaml": "remove truncate",
        f"{TOKENIZER}/{AVERAGE}": "remove truncate flip",
    },
    12: {
        f"{RAW}/test/text": "remove truncate",
        f"{TOKENS}/test/tokens.2.1.ark": "remove truncate flip",
        f"{TOKENS}/test/durations.txt": "remove truncate",
        f"{TOKENIZER}/{AVERAGE}": "remove truncate flip",
        f"{CDCD}/config.yaml": "remove truncate",
        f"{CDCD}/{AVERAGE}": "remove truncate flip",
        f"{DURATION}/duration.yaml": "remove truncate",
        f"{MELS}/config.yaml": "remove truncate",
        f"{MELS}/{AVERAGE}": "remove truncate flip",
        f"{TUNED}/valid.mel_loss.ave.pth": "remove truncate flip",
    },
    13: {
        f"{RAW}/test/wav.scp": "remove truncate",
        f"{RAW}/test/text": "remove truncate",
        f"{SPEECH}/wav.scp": "remove truncate",
        f"{SPEECH}/wav/rms_test_00002.wav": "remove truncate",
        f"{SPEECH}/stats.json": "remove truncate",
        f"{TOKENS}/train/stats.json": "remove truncate",
        f"{DURATION}/stats.json": "remove truncate",
        f"{CDCD}/train.log": "remove truncate",
        "exp/tiny/wall_seconds.txt": "remove truncate",
    },
    14: {
        f"{CDCD}/config.yaml": "remove truncate",
        f"{CDCD}/{AVERAGE}": "remove truncate flip",
        f"{TOKENIZER}/{AVERAGE}": "remove truncate flip",
        f"{DURATION}/duration.yaml": "remove truncate",
        f"{TUNED}/valid.mel_loss.ave.pth": "remove truncate flip",
    },
}
# What a stage has made and may use again, when it is run once more.
OUTPUTS = {
    1: {"downloads/rms/*.wav": "remove truncate"},
    2: {AUDIO: "remove truncate flip"},
    6: {
        f"{TOKENIZER}/checkpoint.pth": "remove truncate flip",
        f"{TOKENIZER}/1epoch.pth": "remove truncate flip",
        f"{TOKENIZER}/2epoch.pth": "remove truncate flip",
        f"{TOKENIZER}/valid.loss.ave_2best.pth": "remove truncate flip",
        f"{TOKENIZER}/config.yaml": "remove truncate",
    },
    7: {
        ARK: "remove truncate flip",
        f"{TOKENS}/train/tokens.1.1.json": "remove truncate",
        f"{TOKENS}/train/tokens.scp": "remove truncate",
    },
    10: {
        f"{CDCD}/checkpoint.pth": "remove truncate flip",
        f"{CDCD}/{AVERAGE}": "remove truncate flip",
    },
    12: {f"{SPEECH}/wav/rms_test_00002.wav": "remove truncate"},
    14: {f"{CDCD}/packed/*.zip": "remove truncate"},
}
# Of a training that was stopped in its second epoch.
MIDDLE = {
    stage: {
        f"{folder}/checkpoint.pth": "remove truncate flip",
        f"{folder}/checkpoint.step.pth": "remove truncate flip",
        f"{folder}/1epoch.pth": "remove truncate flip",
    }
    for stage, folder in ((6, TOKENIZER), (10, CDCD))
}


class Case(NamedTuple):
    """A file that is damaged before a stage runs.

    Attributes:
        stage: Which is run.
        state: What is there before: `inputs`, what it reads; `outputs`, also what it
            makes; `middle`, what it has made when it was stopped.
        name: The file, or a pattern of which the first is meant.
        way: One of `WAYS`.
    """

    stage: int
    state: str
    name: str
    way: str

    @property
    def key(self) -> str:
        """What it is called in tables."""
        again = {"inputs": "", "outputs": " again", "middle": " half done"}
        return f"{self.stage}{again[self.state]}: {self.way} {self.name}"


def cases(stages: Sequence[int]) -> Iterator[Case]:
    """All cases of some stages."""
    for stage in stages:
        kinds = (("inputs", INPUTS), ("outputs", OUTPUTS), ("middle", MIDDLE))
        for state, files in kinds:
            for name, ways in files.get(stage, {}).items():
                for way in ways.split():
                    yield Case(stage, state, name, way)


def damage(path: Path, way: str, seed: int = 0) -> None:
    """Take a file away, cut it in half, or change bytes of its second half.

    Args:
        path: The file; a link stands for what it leads to, unless it is taken away.
        way: One of `WAYS`.
        seed: Of which bytes.
    """
    if way == "remove":
        path.unlink()
        return
    path = path.resolve()
    content = bytearray(path.read_bytes())
    time_before = path.stat().st_mtime_ns
    if way == "truncate":
        del content[len(content) // 2 :]
    else:
        rng = random.Random(seed)
        # Not the last tenth: the directory of a zip, which is no payload.
        span = len(content) // 2, len(content) * 9 // 10
        for _ in range(NUM_FLIPS):
            content[rng.randrange(*span)] ^= rng.randrange(1, 256)
    path.write_bytes(content)
    # A disk that forgets does not say when.
    os.utime(path, ns=(time_before, time_before))


def make_middle(recipe: Recipe, states: Path, stage: int) -> Path:
    """A state in which the second epoch of a training has begun."""
    kept = states / f"middle_{stage:02d}"
    folder = recipe.folder / {6: TOKENIZER, 10: CDCD}[stage]
    while not kept.exists():
        recipe.restore(state_of(states, stage - 1))
        run = recipe.start(stage)
        while run.running:
            if _second_has_begun(folder):
                run.kill()
                recipe.save(kept)
                break
            time.sleep(INTERVAL)
    return kept


def _second_has_begun(folder: Path) -> bool:
    """Whether a step of the second epoch is saved, and so all of the first."""
    try:
        step = (folder / "checkpoint.step.pth").stat().st_mtime_ns
        return step > (folder / "1epoch.pth").stat().st_mtime_ns
    except FileNotFoundError:
        return False


def judge(recipe: Recipe, states: Path, case: Case) -> Verdict:
    """Run a stage with a damaged file; if it stops, again with the file put back."""
    after = state_of(states, case.stage)
    start = {
        "inputs": state_of(states, case.stage - 1),
        "outputs": after,
        "middle": states / f"middle_{case.stage:02d}",
    }
    before = start[case.state]
    recipe.restore(before)
    path = min(recipe.folder.glob(case.name))
    name = str(path.relative_to(recipe.folder))
    damaged = name
    if case.way != "remove":
        damaged = os.path.relpath(path.resolve(), recipe.folder)
    damage(path, case.way)
    ended = recipe.run(case.stage)
    if ended.status != 0:
        verdict = failure(ended, [*culprits(name), *culprits(damaged)])
        shutil.copy2(before / damaged, recipe.folder / damaged, follow_symlinks=False)
        return run_again(recipe, states, case.stage) or verdict
    return success(outcome(recipe, after), damaged)


def run_cases(
    recipe: Recipe, states: Path, stages: Sequence[int], records: Records
) -> None:
    """Run all cases of some stages that are not in the records."""
    todo: List[Case] = [c for c in cases(stages) if not records.has("damage", c.key)]
    for case in todo:
        if case.state == "middle":
            make_middle(recipe, states, case.stage)
        verdict = judge(recipe, states, case)
        found = dict(stage=case.stage, **verdict._asdict())
        records.add(part="damage", key=case.key, **found)
        logging.info(f"{case.key}: {verdict.outcome} {verdict.message}")


def lacking(stages: Sequence[int], records: Records) -> List[str]:
    """Cases of some stages that are not in the records."""
    keys = [case.key for case in cases(stages)]
    return [f"{key}: no result" for key in keys if not records.has("damage", key)]
