"""Stage 11 of the recipes: what is trained, and what 12 and 14 take of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "egs/TEMPLATE/fsqdiff1"
# Stands for Python: runs jobs of run_local; notes other commands, makes their files.
FAKE = """#!/usr/bin/env bash
if [ "$2" = espnet_fsqdiff.bin.run_local ]; then exec {python} "$@"; fi
command=${{2##*.}}
shift 2
echo "$command $*" >> calls.txt
value() {{ # <option> <words>... : what follows it
    local option=$1
    shift
    while [ $# -gt 1 ] && [ "$1" != "$option" ]; do shift; done
    echo "${{2:-}}"
}}
out=$(value --output_dir "$@")
put() {{ mkdir -p "$(dirname "$1")" && echo "{{}}" > "$1"; }}
[ "$command" != "$(cat fail 2> /dev/null)" ] || exit 1
case "$command $*" in
    format_audio*)
        for set in train valid test; do
            put "$(value --output_root "$@")/$set/wav.scp"
            put "$(value --output_root "$@")/$set/utt2num_samples"
        done ;;
    *collect_stats*)
        for name in feats_stats.npz speech_token_shape; do
            put "$out/train/$name"; put "$out/valid/$name"
        done ;;
    token2mel_train*) put "$out/config.yaml"; put "$out/valid.loss.ave.pth" ;;
    vocoder_train*) put "$out/config.yaml"; put "$out/valid.mel_loss.ave.pth" ;;
    generate_mels*--merge*)
        put "$(value --output_root "$@")/train/mels.scp"
        put "$(value --output_root "$@")/valid/mels.scp" ;;
    resynthesize* | tts_inference*) put "$out/wav.scp" ;;
    split_scps*) mkdir -p "$out" ;;
esac
"""
TOKENS = "dump/tokens/train_tokenizer"
TOKENIZER = "exp/tokenizer_train_tokenizer"


@pytest.fixture
def recipe(tmp_path):
    """A recipe directory that has come to stage 10."""
    task = tmp_path / "egs/toy/tts1"
    task.mkdir(parents=True)
    for name in ["fsqdiff.sh", "cmd.sh", "path.sh", "utils"]:
        (task / name).symlink_to(TEMPLATE / name)
    python = task / "fake_python"
    python.write_text(FAKE.format(python=sys.executable))
    python.chmod(0o755)
    names = ["train_tokenizer", "train_cdcd", "decode", "t2m", "voc", "tune"]
    files = [f"conf/{name}.yaml" for name in names]
    for part in ("train", "valid", "test"):
        files += [f"data/{part}/wav.scp", f"dump/raw/{part}/wav.scp"]
        files += [f"dump/raw/{part}/utt2num_samples", f"{TOKENS}/{part}/tokens.scp"]
        files += [f"{TOKENS}/{part}/tokens.txt", f"{TOKENS}/{part}/utt2num_tokens"]
    files += [f"{TOKENIZER}/config.yaml", f"{TOKENIZER}/valid.loss.ave.pth"]
    files += ["exp/duration_train_tokenizer/duration.yaml"]
    files += [
        "exp/cdcd_train_cdcd/config.yaml",
        "exp/cdcd_train_cdcd/valid.loss.ave.pth",
    ]
    for file in files:
        (task / file).parent.mkdir(parents=True, exist_ok=True)
        (task / file).write_text("{}\n")
    sealed = {f"{TOKENS}/{x}/tokens": ".scp" for x in ("train", "valid", "test")}
    sealed["exp/duration_train_tokenizer/duration"] = ".yaml"
    for name, suffix in sealed.items():
        command = f"sha256sum {name}{suffix} > {name}.sha256"
        subprocess.run(command, shell=True, cwd=task, check=True)
    return task


T2M, VOC = "--token2mel_config conf/t2m.yaml", "--vocoder_config conf/voc.yaml"
TUNE = "--vocoder_finetune_config conf/tune.yaml"
ALL = f"{T2M} {VOC} {TUNE} --wave_fs 24000"


def run(recipe, options, stage=11):
    """Run a stage; returns the process and what was called, in order."""
    (recipe / "calls.txt").unlink(missing_ok=True)
    command = f"./fsqdiff.sh --python ./fake_python --nj 2 --stage {stage} "
    command += f"--stop_stage {stage} {options}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    calls = recipe / "calls.txt"
    said = calls.read_text().splitlines() if calls.exists() else []
    return done, said


def kinds(calls):
    return [call.split()[0] for call in calls]


def words(call, option):
    """Every value of an option of a call."""
    found = call.split()
    return [b for a, b in zip(found, found[1:]) if a == option]


def test_without_options_nothing_is_trained(recipe):
    done, calls = run(recipe, "")
    assert done.returncode == 0 and calls == []
    assert "by the tokenizer's mel decoder and by Griffin-Lim" in done.stdout


def test_all_is_trained_in_order_and_once(recipe):
    done, calls = run(recipe, ALL)
    assert done.returncode == 0, done.stderr
    order = ["format_audio", "token2mel_train", "token2mel_train", "vocoder_train"]
    order += ["generate_mels"] * 3 + ["vocoder_train"]
    assert kinds(calls) == order
    audio, stats, t2m, voc, *jobs, tuned = calls
    assert "--keep_as_in dump/raw" in audio and "--output_root dump/raw_24000" in audio
    assert "--collect_stats true" in stats and "--fs 24000" in audio
    data = "--train_data_path_and_name_and_type"
    assert words(t2m, data) == [
        "dump/raw_24000/train/wav.scp,speech,sound",
        f"{TOKENS}/train/tokens.scp,speech_token,kaldi_ark",
    ]
    stats_dir = "exp/token2mel_stats_train_tokenizer/train"
    assert words(t2m, "--mel_stats_file") == [f"{stats_dir}/feats_stats.npz"]
    for call in (t2m, voc, tuned):
        assert words(call, "--resume") == ["true"]
        assert words(call, "--feats_extract_conf") == ["fs=24000"]
    assert words(voc, data) == ["dump/raw_24000/train/wav.scp,speech,sound"]
    assert words(voc, "--output_dir") == ["exp/vocoder_voc"]
    assert words(tuned, "--output_dir") == ["exp/vocoder_voc_tune_t2m"]
    start = "exp/vocoder_voc/valid.mel_loss.ave.pth"
    assert words(tuned, "--init_param") == [start]
    assert words(tuned, data)[1] == "dump/mels/t2m/train/mels.scp,feats,kaldi_ark"
    assert words(tuned, "--valid_data_path_and_name_and_type")[1] == (
        "dump/mels/t2m/valid/mels.scp,feats,kaldi_ark"
    )
    assert sorted(words(job, "--job") for job in jobs[:2]) == [["1"], ["2"]]
    assert "--merge true" in jobs[2] and "exp/token2mel_t2m/config.yaml" in jobs[2]
    # Finished work is not done again, ...
    done, calls = run(recipe, ALL)
    assert (done.returncode, calls) == (0, [])
    # ... but what depends on something new is.
    (recipe / "conf/voc.yaml").write_text("max_epoch: 3\n")
    done, calls = run(recipe, ALL)
    assert kinds(calls) == ["vocoder_train"]
    (recipe / "exp/vocoder_voc/valid.mel_loss.ave.pth").write_text("other weights")
    done, calls = run(recipe, ALL)
    assert kinds(calls) == ["vocoder_train"] and "--init_param" in calls[0]
    (recipe / f"{TOKENS}/valid/tokens.txt").write_text("other tokens")
    done, calls = run(recipe, ALL)
    assert kinds(calls) == order[1:3] + order[4:]


def test_every_training_can_read_in_parts(recipe):
    done, calls = run(recipe, f"{ALL} --num_splits 3")
    assert done.returncode == 0, done.stderr
    splits = [call for call in calls if call.startswith("split_scps")]
    assert len(splits) == 3 and all("--num_splits 3" in call for call in splits)
    folders = [words(call, "--output_dir")[0] for call in splits]
    tables = (
        ["speech_token_shape", "wav.scp", "tokens.scp"],
        ["utt2num_samples", "wav.scp"],
        ["utt2num_samples", "wav.scp", "mels.scp"],
    )
    trainings = [c for c in calls if "_train " in c and "--collect_stats" not in c]
    for call, folder, names in zip(trainings, folders, tables, strict=True):
        assert folder.startswith("exp/") and folder.endswith("/splits3")
        assert "--multiple_iterator true" in call
        assert words(call, "--train_shape_file") == [f"{folder}/{names[0]}"]
        read = words(call, "--train_data_path_and_name_and_type")
        assert [x.split(",")[0] for x in read] == [f"{folder}/{n}" for n in names[1:]]
        valid = words(call, "--valid_data_path_and_name_and_type")
        assert len(valid) == len(read) and not any("splits" in x for x in valid)


def test_what_was_trained_on_other_data_is_not_taken_for_new(recipe):
    run(recipe, ALL)
    begun = ["exp/token2mel_t2m", "exp/vocoder_voc", "exp/vocoder_voc_tune_t2m"]
    for directory in begun:
        (recipe / directory / "checkpoint.pth").touch()
    (recipe / "conf/voc.yaml").write_text("max_epoch: 3\n")
    done, calls = run(recipe, ALL)  # a longer training goes on
    assert done.returncode == 0 and kinds(calls) == ["vocoder_train"]
    weights = recipe / "exp/vocoder_voc/valid.mel_loss.ave.pth"
    sound = weights.read_text()
    for file, directory in (
        (weights, begun[2]),
        (recipe / f"{TOKENS}/valid/tokens.txt", begun[0]),
    ):
        file.write_text("other")
        done, calls = run(recipe, ALL)
        assert done.returncode == 2
        assert f"{directory} was trained on other data" in done.stderr
        assert not [c for c in calls if "_train" in c and "collect_stats" not in c]
        weights.write_text(sound)


def test_a_failed_part_is_done_again_and_no_other(recipe):
    (recipe / "fail").write_text("generate_mels")
    done, calls = run(recipe, ALL)
    assert done.returncode != 0 and "stage 11 (token-to-wave) failed" in done.stderr
    (recipe / "fail").unlink()
    done, calls = run(recipe, ALL)
    assert done.returncode == 0
    assert kinds(calls) == ["generate_mels"] * 3 + ["vocoder_train"]


def test_a_vocoder_alone_is_of_the_tokenizers_mels(recipe):
    done, calls = run(recipe, f"{VOC} {TUNE}")
    assert done.returncode == 0, done.stderr
    assert kinds(calls) == ["vocoder_train"] + ["generate_mels"] * 3 + ["vocoder_train"]
    assert words(calls[0], "--train_data_path_and_name_and_type") == [
        "dump/raw/train/wav.scp,speech,sound"
    ]
    assert "--token2mel_config" not in calls[1]
    assert words(calls[-1], "--output_dir") == ["exp/vocoder_voc_tune_train_tokenizer"]


def test_what_was_trained_is_what_speaks_and_is_packed(recipe):
    done, _ = run(recipe, ALL, stage=12)
    assert done.returncode == 2
    assert "exp/token2mel_t2m/config.yaml is missing; run stage 11" in done.stderr
    run(recipe, ALL)
    t2m = "--token2mel_config exp/token2mel_t2m/config.yaml"
    t2m += " --token2mel_file exp/token2mel_t2m/valid.loss.ave.pth"
    tuned = "exp/vocoder_voc_tune_t2m"
    done, calls = run(recipe, ALL, stage=12)
    assert done.returncode == 0, done.stderr
    assert sorted(kinds(calls)) == ["resynthesize", "tts_inference"]
    for call in calls:
        assert f"{t2m} --vocoder trained --vocoder_conf {{}}" in call
        assert f"--vocoder_train_config {tuned}/config.yaml" in call
        assert f"--vocoder_file {tuned}/valid.mel_loss.ave.pth" in call
    done, (call,) = run(recipe, ALL, stage=14)
    assert f"{t2m} --vocoder_config {tuned}/config.yaml" in call
    done, calls = run(recipe, VOC, stage=14)
    assert "exp/vocoder_voc/valid.mel_loss.ave.pth" in calls[0]
    assert "token2mel" not in calls[0]
    done, calls = run(recipe, "", stage=12)
    assert not any("vocoder" in call or "token2mel" in call for call in calls)


def test_speaker_embeddings_reach_what_takes_them(recipe):
    options = f"{ALL} --spk_embeds dump/xvector/"
    done, _ = run(recipe, options)
    assert done.returncode == 2
    assert "dump/xvector/train/xvector.scp is missing; ESPnet's" in done.stderr
    for part in ("train", "valid", "test"):
        (recipe / f"dump/xvector/{part}").mkdir(parents=True)
        (recipe / f"dump/xvector/{part}/xvector.scp").write_text("a x.ark:2\n")
    done, calls = run(recipe, options)
    assert done.returncode == 0, done.stderr
    for call in calls:
        if call.startswith("token2mel_train"):
            for part in ("train", "valid"):
                table = f"dump/xvector/{part}/xvector.scp,spk_embed,kaldi_ark"
                assert table in words(call, f"--{part}_data_path_and_name_and_type")
        if call.startswith("generate_mels"):
            files = "dump/xvector/train/xvector.scp dump/xvector/valid/xvector.scp"
            assert f"--spk_embeds {files} --output_root" in call
    done, calls = run(recipe, options, stage=12)
    assert done.returncode == 0, done.stderr
    for call in calls:
        assert words(call, "--spk_embeds") == ["dump/xvector/test/xvector.scp"]
    # Others are another training.
    (recipe / "dump/xvector/valid/xvector.scp").write_text("a y.ark:2\n")
    done, calls = run(recipe, options)
    again = ["token2mel_train"] * 2 + ["generate_mels"] * 3 + ["vocoder_train"]
    assert kinds(calls) == again
    # The tokenizer's own decoder and a vocoder take none.
    done, calls = run(recipe, f"{VOC} --spk_embeds dump/xvector", stage=12)
    assert not any("spk_embeds" in call for call in calls)


@pytest.mark.parametrize(
    "options, error",
    [
        (TUNE, "--vocoder_finetune_config needs --vocoder_config"),
        (f"{T2M} {TUNE}", "--vocoder_finetune_config needs --vocoder_config"),
        ("--vocoder_config conf/none.yaml", "--vocoder_config conf/none.yaml: no such"),
        (f"{VOC} --wave_fs fast", "option --wave_fs is a number, not 'fast'"),
        (
            f"{VOC} --vocoder_model best.pth",
            "best.pth was not made; its log says why, or --token2mel_model",
        ),
    ],
)
def test_faults(recipe, options, error):
    done, _ = run(recipe, options)
    assert done.returncode == 2 and error in done.stderr


@pytest.mark.parametrize(
    "asked, gpus, device", [("false", 0, "cpu"), ("true", 1, "cuda")]
)
def test_extraction_has_a_gpu_for_each_job_if_asked(
    recipe, monkeypatch, asked, gpus, device
):
    slurm = recipe / "bin/slurm.pl"
    slurm.parent.mkdir()
    slurm.write_text(
        '#!/bin/sh\necho "$@" >> jobs.txt\n'
        f'exec {sys.executable} -m espnet_fsqdiff.bin.run_local "$@"\n'
    )
    slurm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slurm.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("cmd_backend", "slurm")
    calls = []
    for stage, options in ((7, ""), (11, f"{VOC} {TUNE}")):
        done, said = run(recipe, f"--gpu_extraction {asked} {options}", stage)
        assert done.returncode == 0, done.stderr
        calls += said
    for command in ("extract_tokens", "generate_mels"):
        jobs = (recipe / "jobs.txt").read_text().splitlines()
        (job,) = [line for line in jobs if f"bin.{command} " in line]
        assert job.startswith(f"--gpu {gpus} JOB=1:2 ")
        made = [call for call in calls if call.startswith(command)]
        assert [words(call, "--device") for call in made] == [[device], [device], []]
