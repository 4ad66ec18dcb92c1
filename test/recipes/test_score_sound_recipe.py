"""The script that compares chains from mels and tokens to waves: what it runs when."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/kathleen/tts1"

# Stands in for Python: notes its arguments and makes what the script looks for.
STUB = """#!/usr/bin/env bash
echo "${@:2}" >> calls
case "$*" in *"${FAIL:-no such}"*) exit 3 ;; esac
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe directory with a test split and a small corpus of other voices."""
    task = tmp_path / "project/egs/kathleen/tts1"
    (task / "local").mkdir(parents=True)
    shutil.copy(RECIPE / "local/score_sound.sh", task / "local")
    shutil.copy(RECIPE / "path.sh", task)
    shutil.copytree(RECIPE / "utils", task / "utils")
    (task / "conf").mkdir()
    (task / "conf/decode_flow.yaml").write_text("vocoder: griffin_lim\n")
    (task / "data/test").mkdir(parents=True)
    for name, value in {"wav.scp": "x.wav", "text": "words", "utt2spk": "k"}.items():
        lines = "".join(f"u{i} {value}\n" for i in range(3))
        (task / "data/test" / name).write_text(lines)
    (task / "data/test/spk2utt").write_text("k u0 u1 u2\n")
    (task.parents[2] / "voices").mkdir()
    rows = ["id\tpath\tspeaker\tgender\tseconds\ttext"]
    for spk in ("9", "10"):
        rows += [
            f"{spk}-{i}\tf/{spk}-{i}.flac\t{spk}\tM\t1.0\tsay {i}" for i in range(5)
        ]
    (task.parents[2] / "voices/metadata.tsv").write_text("\n".join(rows) + "\n")
    stub = task / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    return task


def run(task, *args, **env):
    """Run the script; return what it printed and the commands that it called."""
    return run_bare(task, "--corpus", str(task.parents[2] / "voices"), *args, **env)


def run_bare(task, *args, **env):
    """The same without a corpus of other voices."""
    (task / "calls").unlink(missing_ok=True)
    given = ["--python", "./stub", *args]
    done = subprocess.run(
        ["local/score_sound.sh", *given],
        cwd=task,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )
    calls = (
        (task / "calls").read_text().splitlines() if (task / "calls").exists() else []
    )
    return done, [call.removeprefix("espnet_fsqdiff.bin.") for call in calls]


def add(task, *directories):
    """Models, as training leaves them."""
    for directory in directories:
        folder = task / "exp" / directory
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(directory)
        for name in ("valid.mel_loss.ave.pth", "valid.loss.ave.pth"):
            (folder / name).write_text(directory)


def test_chains_are_those_with_files(recipe):
    done, calls = run(recipe, "--sets", "kathleen")
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in calls] == [
        *("copy_synthesis", "copy_synthesis", "copy_synthesis", "score_sound")
    ]
    assert "--n_fft 1024 --n_shift 256" in calls[1]
    assert "--fs 16000 --n_fft 1024 --win_length 400" in calls[2]
    assert "vocoder is left out: there is no exp/vocoder_train_vocoder" in done.stdout
    score = calls[-1]
    assert "--system griffin_lim=exp/sound/kathleen/griffin_lim " in score
    assert score.count("--system") == 3 and score.endswith("--against griffin_lim")


def test_all_chains(recipe):
    tuned = "vocoder_train_vocoder_train_vocoder_finetune_train_token2mel"
    small = "vocoder_train_vocoder_small"
    small_tuned = f"{small}_train_vocoder_small_finetune_train_tokenizer"
    add(
        recipe,
        *("tokenizer_train_tokenizer", "token2mel_train_token2mel"),
        *("vocoder_train_vocoder", tuned, small, small_tuned),
    )
    done, calls = run(recipe, "--sets", "kathleen", "--threads", "2")
    assert done.returncode == 0 and "left out" not in done.stdout, done.stderr
    assert calls[-1].count("--system") == 12
    copied = [c for c in calls if c.startswith("copy_synthesis")]
    assert len(copied) == 6 and all("--num_threads 2" in c for c in copied)
    assert "--vocoder_file exp/vocoder_train_vocoder/valid.mel_loss" in copied[3]
    assert f"--vocoder_file exp/{tuned}/valid.mel_loss" in copied[4]
    assert f"--vocoder_file exp/{small}/valid.mel_loss" in copied[5]
    made = [c for c in calls if c.startswith("resynthesize")]
    *of_decoder, flow, vocoder, last = made
    for call in of_decoder:
        assert "token2mel" not in call and "--inference_config" not in call
    assert len(of_decoder) == 3 and "--vocoder" not in of_decoder[0]
    for call, directory in zip(of_decoder[1:], (small, small_tuned), strict=True):
        assert "--vocoder trained" in call
        assert f"--vocoder_file exp/{directory}/valid.mel_loss" in call
    assert "--token2mel_file exp/token2mel_train_token2mel/valid.loss" in flow
    assert "--vocoder" not in flow
    assert "--vocoder trained --vocoder_conf {}" in vocoder
    assert f"--vocoder_file exp/{tuned}/" in last and "--token2mel_config" in last


def test_what_is_there_is_kept_until_its_files_change(recipe):
    add(recipe, "vocoder_train_vocoder")
    args = ["--sets", "kathleen", "--chains", "griffin_lim vocoder"]
    assert len(run(recipe, *args)[1]) == 3
    kept = recipe / "exp/sound/kathleen/griffin_lim/copy"
    kept.touch()
    assert [c.split()[0] for c in run(recipe, *args)[1]] == ["score_sound"]
    (recipe / "exp/vocoder_train_vocoder/valid.mel_loss.ave.pth").write_text("more")
    done, calls = run(recipe, *args, FAIL="copy_synthesis")
    assert done.returncode == 3 and len(calls) == 1
    half = recipe / "exp/sound/kathleen/vocoder/half"
    half.touch()
    calls = run(recipe, *args)[1]
    assert [c.split()[0] for c in calls] == ["copy_synthesis", "score_sound"]
    assert "--vocoder_file" in calls[0] and half.exists() and kept.exists()
    assert len(run(recipe, *args, "--num_utts", "2")[1]) == 3  # another set
    assert not half.exists()


def test_options_are_chosen_on_the_validation_set(recipe):
    shutil.copytree(recipe / "data/test", recipe / "data/valid")
    text = recipe / "data/valid/text"
    text.write_text(text.read_text().replace("\n", " again\n"))
    args = ("--sets", "kathleen", "--split", "valid", "--chains", "griffin_lim_16k")
    done, calls = run(recipe, *args, "--against", "griffin_lim_16k")
    assert done.returncode == 0, done.stderr
    assert calls[-1].endswith("--against griffin_lim_16k")
    assert "again" in (recipe / "exp/sound/kathleen/data/text").read_text()


def test_unseen_voices_are_a_fixed_choice(recipe):
    done, calls = run(recipe, "--sets", "unseen", "--chains", "griffin_lim_256")
    assert done.returncode == 0, done.stderr
    assert "--against" not in calls[-1]
    data = recipe / "exp/sound/unseen/data"
    assert [x.split()[0] for x in (data / "wav.scp").read_text().splitlines()] == [
        *("10-0", "10-1", "10-2", "9-0", "9-1", "9-2")
    ]
    assert (data / "text").read_text().startswith("10-0 say 0\n")
    assert (data / "spk2utt").read_text() == "10 10-0 10-1 10-2\n9 9-0 9-1 9-2\n"
    run(recipe, "--sets", "unseen", "--num_utts", "4")
    assert (data / "spk2utt").read_text() == "10 10-0 10-1 10-2\n9 9-0\n"


def test_unseen_voices_that_nobody_asked_for_may_be_missing(recipe):
    done, calls = run_bare(recipe, "--chains", "griffin_lim")
    assert done.returncode == 0, done.stderr
    assert [c.split()[0] for c in calls] == ["copy_synthesis", "score_sound"]
    assert "unseen is left out: there is no ../../../../shared/" in done.stdout
    for asked in (["--sets", "kathleen unseen"], ["--corpus", "nowhere"]):
        done, calls = run_bare(recipe, "--chains", "griffin_lim", *asked)
        assert done.returncode == 2 and not calls
        assert "metadata.tsv: no such file" in done.stderr
    shared = recipe.parents[3] / "shared/corpora"
    shared.mkdir(parents=True)
    (recipe.parents[2] / "voices").rename(shared / "librispeech_mini")
    done, calls = run_bare(recipe, "--chains", "griffin_lim")
    assert done.returncode == 0 and len(calls) == 3, done.stderr
    assert "left out" not in done.stdout


@pytest.mark.parametrize(
    "args, message",
    [
        (["--chains", "magic"], "no chain magic; known: griffin_lim"),
        (["--chains", "vocoder"], "vocoder_train_vocoder/config.yaml, which vocoder"),
        (["--sets", "moon"], "no set moon"),
        (["--corpus", "nowhere", "--sets", "unseen"], "nowhere/metadata.tsv: no such"),
        (["--datadir", "nowhere"], "run stage 1"),
        (["extra"], "unexpected argument extra"),
    ],
)
def test_faults(recipe, args, message):
    done, calls = run(recipe, *args)
    assert done.returncode == 2 and not [c for c in calls if "resyn" in c]
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_help_names_options_and_chains(recipe):
    done, _ = run(recipe, "--help")
    assert done.returncode == 0
    for name in ("--token2mel_exp", "--num_utts", "flow_tuned", "--sets", "--corpus"):
        assert name in done.stdout
