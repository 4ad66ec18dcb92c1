"""The shell of a study: help, links to the sister recipe, missing inputs."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.recognizer import AbsRecognizer
from espnet_fsqdiff.study.measure import is_scored, read_scores, score_directories

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "egs/TEMPLATE"
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
        touch(sister / f"exp/cdcd_stats_train_tokenizer/{data}/stats_keys")
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


def test_sets_of_the_sister_may_have_other_names(recipe):
    tokens = recipe.parent / "tts1/dump/tokens/train_tokenizer"
    (tokens / "train").rename(tokens / "train_clean")
    (tokens / "valid").rename(tokens / "dev")
    done = bash("./study.sh --stop_stage 1", recipe)
    assert done.returncode != 0 and "the sister recipe makes it" in done.stdout
    run = "./study.sh --stop_stage 1 --train_set train_clean --valid_set dev"
    done = bash(run, recipe)
    assert done.returncode == 0, done.stderr
    assert "the sister recipe makes it" not in done.stdout


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


# fsqdiff.sh without training: the configuration of stage 10 appears, or it fails.
FAKE_STAGES = """#!/usr/bin/env bash
set -euo pipefail
while [ $# -gt 0 ]; do printf -v "${1#--}" '%s' "$2"; shift 2; done
[ "$(cat stop_at 2> /dev/null)" != "${tag}" ] || exit 1
echo "train ${decoder} ${tag} ${train_config} ${train_args}" >> calls.txt
mkdir -p "${expdir}/${decoder}_${tag}"
"""

# Commands that leave empty results. What the study lists is fixed here; what it
# lists in truth is tested without a shell.
FAKE_PYTHON = """#!/usr/bin/env bash
if [ "$2" = espnet_fsqdiff.bin.run_local ]; then
    exec "${@:4}"
fi
echo "${@:2}" >> calls.txt
option() { # <name> <word>... : the word after it
    local name=$1
    shift
    while [ "$1" != "${name}" ]; do shift; done
    echo "$2"
}
trained() {
    cat << EOF
cdcd_fsq_seed1|fsq|fsq_seed1|cdcd|fsq|true|--codebook fsq --seed 1
cdcd_dealt_seed1|dealt|dealt_seed1|cdcd|fsq|false|--codebook permuted --seed 1
lm_lm_seed1|lm|lm_seed1|lm|fsq|false|--seed 1
EOF
}
spoken() {
    cat << EOF
cdcd_fsq_seed1|cdcd|fsq|exp/cdcd_fsq_seed1/steps5|--num_steps 5 --seed 1
lm_lm_seed1|lm|fsq|exp/lm_lm_seed1/sampled|--seed 1
EOF
}
case "$2 $3" in
    *study\\ trainings)
        trained | while IFS='|' read -r directory rest; do
            if [[ " $* " = *" --all "* ]] || [ ! -e "exp/${directory}/done" ]; then
                echo "${directory}|${rest}"
            fi
        done ;;
    *study\\ finish) touch "exp/$(option --directory "$@")/done" ;;
    *study\\ syntheses)
        spoken | while IFS='|' read -r training decoder tokens directory options; do
            if [ ! -e "${directory}/stats.json" ]; then
                echo "${training}|${decoder}|${tokens}|${directory}|${options}"
            fi
        done ;;
    *tts_inference* | *resynthesize*)
        directory=$(option --output_dir "$@")
        [ "$(cat fail_at 2> /dev/null)" != "${directory}" ] || exit 3
        mkdir -p "${directory}" && touch "${directory}/stats.json" ;;
    *study\\ score) touch exp/reference/original/utterances.csv ;;
    *codebook_report*) mkdir -p exp/theory && touch "$(option --output "$@")" ;;
    *study\\ test_set) mkdir -p exp/test_set && echo "b two" > exp/test_set/text
        echo "b b.wav" > exp/test_set/wav.scp ;;
esac
"""


def calls(recipe, name):
    lines = (recipe / "calls.txt").read_text().splitlines()
    return [line for line in lines if line.startswith(name)]


def test_all_stages_stopped_and_resumed(recipe):
    for name, text in (("python", FAKE_PYTHON), ("fsqdiff.sh", FAKE_STAGES)):
        (recipe / name).unlink(missing_ok=True)
        touch(recipe / name, text)
        (recipe / name).chmod(0o755)
    touch(
        recipe.parent / "tts1/dump/tokens/train_tokenizer/test/tokens.txt",
        "a 1 2\nb 3\nc 4\n",
    )
    touch(recipe / "exp/cdcd_fsq_seed1/training.json")
    touch(recipe / "conf/train_cdcd.yaml", "head: joint\n")
    touch(recipe / "conf/train_lm.yaml")
    run = "./study.sh --python ./python --nj 2"
    for name, place, stage in (
        ("stop_at", "dealt_seed1", "3 (training)"),
        ("fail_at", "exp/lm_lm_seed1/sampled", "4 (synthesis)"),
    ):
        touch(recipe / name, place)
        done = bash(run, recipe)
        assert done.returncode != 0 and f"stage {stage} failed" in done.stderr
        (recipe / name).unlink()
    done = bash(run, recipe)
    assert done.returncode == 0, done.stderr
    assert "Nothing is left to train" in done.stdout
    # The one that failed is trained again, the others are not.
    assert sorted(calls(recipe, "train ")) == [
        "train cdcd dealt_seed1 conf/train_cdcd.yaml --codebook permuted --seed 1",
        "train cdcd fsq_seed1 conf/train_cdcd.yaml --codebook fsq --seed 1",
        "train lm lm_seed1 conf/train_lm.yaml --seed 1",
    ]
    spoken = calls(recipe, "espnet_fsqdiff.bin.tts_inference")
    # The one that failed is made again, the other is not.
    configs = sorted(line.split()[2] for line in spoken)
    assert configs == ["conf/decode.yaml"] + 2 * ["conf/decode_lm.yaml"]
    assert sum("--num_steps 5" in line for line in spoken) == 1
    assert len(calls(recipe, "espnet_fsqdiff.bin.resynthesize")) == 1
    assert (recipe / "exp/reference/fsq/tokens.txt").read_text() == "b 3\n"
    finished = calls(recipe, "espnet_fsqdiff.bin.study finish")
    digest = hashlib.sha256(b"head: joint\n").hexdigest()
    assert sum(f"--config_digest {digest} " in line for line in finished) == 2
    assert len(calls(recipe, "espnet_fsqdiff.bin.codebook_report")) == 1
    (report,) = calls(recipe, "espnet_fsqdiff.bin.study report")
    assert "--reference resynthesis_fsq=exp/reference/fsq" in report
    for part in ("syntheses", "score"):
        assert (
            "--train_config conf/train_cdcd.yaml --lm_config conf/train_lm.yaml "
            "--test_set exp/test_set --decode_config conf/decode.yaml "
            "--lm_decode_config conf/decode_lm.yaml"
        ) in calls(recipe, f"espnet_fsqdiff.bin.study {part}")[0]
    # Of other tokens they are made, and scored, again.
    scores = recipe / "exp/reference/fsq/utterances.csv"
    for ids, times in (("3", 1), ("5", 2)):
        scores.touch()
        touch(recipe / "dump/tokens/train_tokenizer/test/tokens.txt", f"b {ids}\n")
        done = bash(f"{run} --stage 4 --stop_stage 4", recipe)
        assert done.returncode == 0, done.stderr
        assert len(calls(recipe, "espnet_fsqdiff.bin.resynthesize")) == times
        assert scores.exists() == (times == 1)
    assert (recipe / "exp/reference/fsq/tokens.txt").read_text() == "b 5\n"
    assert not (recipe / "exp/reference/fsq/tokens.new.txt").exists()


def test_theory_is_made_anew_of_other_inputs(recipe):
    (recipe / "python").write_text(FAKE_PYTHON)
    (recipe / "python").chmod(0o755)
    model = recipe / "exp/cdcd_fsq_seed1/valid.loss.ave.pth"
    tokens = recipe / "dump/tokens/train_tokenizer/valid/tokens.txt"
    touch(recipe / "exp/cdcd_fsq_seed1/training.json")
    options = ""

    def times_made():
        run = "./study.sh --python ./python --stage 6 --stop_stage 6"
        done = bash(f"{run} {options}", recipe)
        assert done.returncode == 0, done.stderr
        return len(calls(recipe, "espnet_fsqdiff.bin.codebook_report"))

    # Of a study begun before there were digests.
    touch(recipe / "exp/theory/fsq.csv")
    touch(recipe / "calls.txt")
    assert times_made() == 0
    (recipe / "exp/theory/fsq.csv").unlink()
    assert [times_made(), times_made()] == [1, 1]
    touch(model, "weights")
    assert [times_made(), times_made()] == [2, 2]
    touch(tokens, "a 1 2\n")
    assert [times_made(), times_made()] == [3, 3]
    options = "--theory_opts '--num_samples 5'"
    assert [times_made(), times_made()] == [4, 4]


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
    assert all(is_scored(d, tmp_path / "ref") for d in directories)
    assert [(u.word_edits, u.words) for u in a] == [(0, 2), (1, 2)]
    assert [(u.right_tokens, u.tokens) for u in a] == [(3, 10), (5, 12)]
    assert [u.seconds for u in a] == pytest.approx([0.6, 0.6])
    assert [u.right_tokens for u in b] == [None, None]
    assert all(u.mcd > 0 and u.reference_seconds == 0.5 for u in [*a, *b])
    assert all(u.mcd is None for u in original) and original[1].word_edits == 1
    touch(tmp_path / "b/wav.scp", f"u1 {tmp_path}/b/u1.wav\n")
    assert not is_scored(tmp_path / "b", tmp_path / "ref")
    with pytest.raises(InputError, match="utterance u2 is missing"):
        score_directories([tmp_path / "b"], tmp_path / "ref", Deaf())


IN_TURN = r"""
set -euo pipefail
nj=2
. <(sed -n '/^share_cores()/,/^train_one()/p' "{study}" | sed '$d')
job() {{ sleep 0.1; [ "$1" != bad ]; sleep 0.1; echo "ended $1"; }}
stage() (
    share_cores
    for name in {jobs}; do in_turn job "${{name}}"; done
    # Bash no longer knows what became of them.
    wait
    wait_all
)
stage
echo passed
"""


@pytest.mark.parametrize("jobs, passes", [("a b c", True), ("a bad c", False)])
def test_commands_in_turn_all_run_and_one_that_fails_is_told(tmp_path, jobs, passes):
    study = TEMPLATE / "study1/study.sh"
    done = bash(IN_TURN.format(study=study, jobs=jobs), tmp_path)
    assert ("passed" in done.stdout) == passes == (done.returncode == 0)
    ended = {line for line in done.stdout.splitlines() if line.startswith("ended")}
    assert ended == {f"ended {name}" for name in jobs.split() if name != "bad"}
