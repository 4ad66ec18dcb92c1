"""The shell of a study: help, links to the sister recipe, missing inputs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.recognizer import AbsRecognizer
from espnet_fsqdiff.study.measure import read_scores, score_directories

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "egs/TEMPLATE"
FAKE = Path(__file__).with_name("study_fake_python.py")
PLAN = """
updates: 4
epochs: 2
warmup: 1
seeds: [1, 2]
steps: [5]
variants:
    fsq: {args: --codebook fsq}
"""


def bash(script, cwd):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True
    )


def touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def recipe(tmp_path):
    """A study beside a sister recipe that has run up to stage 9."""
    task = tmp_path / "egs/toy/study1"
    task.mkdir(parents=True)
    for name in ["fsqdiff.sh", "cmd.sh", "path.sh", "utils"]:
        (task / name).symlink_to(TEMPLATE / "fsqdiff1" / name)
    (task / "study.sh").symlink_to(TEMPLATE / "study1/study.sh")
    touch(task / "conf/variants.yaml", PLAN)
    sister = task.parent / "tts1"
    for data in ["train", "valid", "test"]:
        touch(sister / f"dump/tokens/train_tokenizer/{data}/tokens.scp")
    touch(sister / "dump/token_list/char/tokens.txt")
    touch(sister / "dump/raw/test/text", "a one\nb two\nc three\n")
    touch(sister / "dump/raw/test/wav.scp", "a a.wav\nb b.wav\nc c.wav\n")
    touch(sister / "exp/tokenizer_train_tokenizer/valid.loss.ave.pth")
    touch(sister / "exp/tokenizer_stats/train/feats_stats.npz")
    touch(sister / "exp/duration_train_tokenizer/duration.yaml")
    for data in ["train", "valid"]:
        touch(sister / f"exp/cdcd_stats_train_tokenizer/{data}/speech_token_shape")
    return task


def test_help_names_stages_and_options(recipe):
    done = bash("./study.sh --help", recipe)
    assert done.returncode == 0
    for number in range(1, 8):
        assert f"\n   {number} " in done.stdout
    for option in ["stage", "variants", "seeds", "steps", "quick", "tts1_dir"]:
        assert f"  --{option} (" in done.stdout
    assert "help_message" not in done.stdout


def test_tokens_of_the_sister_are_linked_not_made(recipe):
    done = bash("./study.sh --stop_stage 2 --num_test 1", recipe)
    assert done.returncode == 0, done.stderr
    for name in [
        *("dump/raw", "dump/token_list", "dump/tokens/train_tokenizer"),
        *("exp/tokenizer_train_tokenizer", "exp/duration_train_tokenizer"),
        *("exp/cdcd_stats_train_tokenizer", "exp/lm_stats_train_tokenizer"),
    ]:
        assert (recipe / name).is_symlink() and (recipe / name).is_dir()
    assert not (recipe / "dump/tokens").is_symlink()
    assert (recipe / "exp/test_set/text").read_text() == "b two\n"
    assert "No variant wants RVQ tokens" in done.stdout
    numbers = [
        line.split()[0]
        for line in (recipe / "exp/study_seconds.txt").read_text().splitlines()
    ]
    assert numbers == ["1", "2"]


@pytest.mark.parametrize(
    "stage, error",
    [
        (2, "dump/raw is missing; run stage 1 (data, tokens)"),
        (3, "duration.yaml is missing; run stage 1"),
        (4, "exp/test_set/text is missing; run stage 1"),
        (7, "utterances.csv is missing; run stage 5 (scoring)"),
    ],
)
def test_missing_input_names_its_stage(recipe, stage, error):
    done = bash(f"./study.sh --stage {stage} --stop_stage {stage}", recipe)
    assert done.returncode == 2
    assert error in done.stderr
    assert f"stage {stage} (" in done.stderr.splitlines()[-1]


def test_synthesis_waits_for_training(recipe):
    done = bash("./study.sh --stop_stage 4 --stage 4", recipe)
    assert done.returncode != 0
    bash("./study.sh --stop_stage 1", recipe)
    done = bash("./study.sh --stop_stage 4 --stage 4", recipe)
    assert done.returncode == 2
    assert "cdcd_fsq_seed1: not trained yet; run stage 3" in done.stderr


@pytest.mark.parametrize("corpus", ["mini", "kathleen"])
def test_recipes_share_the_template(corpus):
    task = ROOT / f"egs/{corpus}/study1"
    assert (task / "study.sh").resolve() == TEMPLATE / "study1/study.sh"
    for name in ["fsqdiff.sh", "cmd.sh", "path.sh"]:
        assert (task / name).resolve() == TEMPLATE / "fsqdiff1" / name
    assert os.access(task / "run.sh", os.X_OK)
    # Every file that run.sh names is there.
    words = (task / "run.sh").read_text().split()
    for word in words:
        if word.endswith(".yaml"):
            assert (task / word).is_file(), word


FAKE_STAGES = """#!/usr/bin/env bash
# fsqdiff.sh without training: the model of stage 10 appears, or the run fails.
set -euo pipefail
while [ $# -gt 0 ]; do printf -v "${1#--}" '%s' "$2"; shift 2; done
[ "$(cat stop_at 2> /dev/null)" != "${tag}" ] || exit 1
echo "train ${tag} ${train_config} ${train_args}" >> calls.txt
mkdir -p "${expdir}/${decoder}_${tag}"
touch "${expdir}/${decoder}_${tag}/"{config.yaml,valid.loss.ave.pth}
"""


def calls(recipe, *names):
    lines = (recipe / "calls.txt").read_text().splitlines()
    return [line for line in lines if line.split()[0] in names]


def test_all_stages_stopped_and_resumed(recipe):
    plan = PLAN + "    permuted: {args: '--codebook permuted', theory: false}\n"
    touch(recipe / "conf/variants.yaml", plan + "    lm: {decoder: lm, seeds: [1]}\n")
    for name, text in (
        ("python", f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n'),
        ("fsqdiff.sh", FAKE_STAGES),
    ):
        (recipe / name).unlink(missing_ok=True)
        touch(recipe / name, text)
        (recipe / name).chmod(0o755)
    tokens = recipe.parent / "tts1/dump/tokens/train_tokenizer/test/tokens.txt"
    touch(tokens, "a 1 2\nb 3\nc 4\nd 5\n")
    touch(recipe / "stop_at", "fsq_seed2")
    run = "./study.sh --python ./python --nj 2"
    done = bash(run, recipe)
    assert done.returncode != 0 and "stage 3 (training) failed" in done.stderr
    assert len(calls(recipe, "train")) == 3
    (recipe / "stop_at").unlink()
    done = bash(run, recipe)
    assert done.returncode == 0, done.stderr[-2000:]
    trained = [line.split() for line in calls(recipe, "train")]
    assert [words[1] for words in trained] == [
        *("fsq_seed1", "permuted_seed1", "lm_seed1", "fsq_seed2", "permuted_seed2")
    ]
    assert trained[2][2] == "conf/train_lm.yaml"
    assert trained[4][3:7] == ["--codebook", "permuted", "--seed", "2"]
    spoken = calls(recipe, "tts_inference")
    assert len(spoken) == 5 and sum("--num_steps 5" in x for x in spoken) == 4
    assert sum("conf/decode_lm.yaml" in line for line in spoken) == 1
    assert len(calls(recipe, "resynthesize", "codebook_report")) == 2
    reference = recipe / "exp/reference/fsq/tokens.txt"
    assert reference.read_text() == "a 1 2\nb 3\nc 4\n"
    report = (recipe / "exp/report/results.md").read_text()
    assert "resynthesis_fsq" in report and "permuted" in report
    # All is there: nothing is made again.
    before = len(calls(recipe, "train", "tts_inference"))
    done = bash(f"{run} --stage 3 --stop_stage 4", recipe)
    assert done.returncode == 0 and "Nothing is left to train" in done.stdout
    assert len(calls(recipe, "train", "tts_inference")) == before


class Deaf(AbsRecognizer):
    """Understands the same words every time."""

    fs = 16000

    def settings(self):
        return {}

    def recognize(self, wave):
        return "one two"


def test_scores_by_utterance(tmp_path):
    generator = np.random.default_rng(0)
    for directory, seconds in (("ref", 0.5), ("a", 0.6), ("b", 0.5)):
        lines = ""
        for utt in ("u1", "u2"):
            path = tmp_path / directory / f"{utt}.wav"
            path.parent.mkdir(exist_ok=True)
            noise = 0.1 * generator.standard_normal(int(16000 * seconds))
            soundfile.write(path, noise, 16000)
            lines += f"{utt} {path}\n"
        touch(tmp_path / directory / "wav.scp", lines)
    touch(tmp_path / "ref/text", "u1 one two\nu2 one three\n")
    touch(tmp_path / "a/rollout.txt", "u1 3 10\nu2 5 12\n")
    # The originals can be scored as well: nothing to compare them with.
    touch(tmp_path / "original/wav.scp", (tmp_path / "ref/wav.scp").read_text())
    directories = [tmp_path / name for name in ("a", "b", "original")]
    score_directories(directories, tmp_path / "ref", Deaf())
    a, b, original = (read_scores(d / "utterances.csv") for d in directories)
    assert [(u.word_edits, u.words) for u in a] == [(0, 2), (1, 2)]
    assert [(u.right_tokens, u.tokens) for u in a] == [(3, 10), (5, 12)]
    assert [u.seconds for u in a] == pytest.approx([0.6, 0.6])
    assert [u.right_tokens for u in b] == [None, None]
    assert all(u.mcd > 0 and u.reference_seconds == 0.5 for u in [*a, *b])
    assert all(u.mcd is None for u in original) and original[1].word_edits == 1
    touch(tmp_path / "b/wav.scp", f"u1 {tmp_path}/b/u1.wav\n")
    with pytest.raises(InputError, match="utterance u2 is missing"):
        score_directories([tmp_path / "b"], tmp_path / "ref", Deaf())
