"""The recipes of published corpora: their files, and stage 1 in several jobs."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.data.datadir import DataDir

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("emilia", "librispeech_mini", "libritts", "ljspeech", "vctk")


def run(*command, cwd):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=cwd,
        text=True,
        capture_output=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("name", NAMES)
def test_files(name):
    recipe = ROOT / "egs" / name / "tts1"
    script = (recipe / "run.sh").read_text()
    configs = re.findall(r'_config "?(conf/\S+\.yaml)', script)
    assert len(configs) == 3
    for preset in ("full", "test") if "preset" in script else ("",):
        for config in configs:
            assert (recipe / config.replace("${preset}", preset)).is_file()
    for path in recipe.rglob("*"):
        assert path.exists(), f"{path}: a link to nothing"
    for path in ("run.sh", "local/data.sh", "fsqdiff.sh"):
        assert os.access(recipe / path, os.X_OK)
    assert (recipe / "fsqdiff.sh").resolve().parent.name == "fsqdiff1"


@pytest.mark.parametrize("name", NAMES)
def test_help(name):
    done = run("./run.sh", "--help", cwd=ROOT / "egs" / name / "tts1")
    assert done.returncode == 0 and "--tokenizer_config (" in done.stdout


def test_libritts_scores_the_zero_shot_pairs_by_default(tmp_path):
    shutil.copytree(ROOT / "egs/TEMPLATE", tmp_path / "TEMPLATE")
    recipe = tmp_path / "libritts/tts1"
    ignored = shutil.ignore_patterns("data", "dump", "exp", "downloads")
    source = ROOT / "egs/libritts/tts1"
    shutil.copytree(source, recipe, symlinks=True, ignore=ignored)
    python = recipe / "fake_python"
    python.write_text('#!/bin/sh\necho "$@" >> calls.txt\n')
    python.chmod(0o755)
    for name in ("train", "valid", "librispeech_pc"):
        (recipe / "data" / name).mkdir(parents=True)
    command = ["./run.sh", "--python", "./fake_python", "--stop_stage", "2"]
    done = run(*command, cwd=recipe)
    assert done.returncode == 0, done.stderr
    first, second = (recipe / "calls.txt").read_text().splitlines()
    assert first.endswith("libritts --output_dir data --librispeech download")
    assert "--sets train valid librispeech_pc --fs" in second


def test_speakers_of_vctk():
    folder = ROOT / "egs/vctk/tts1/local"
    valid, test = (
        (folder / f"{n}.list").read_text().split() for n in ("valid", "test")
    )
    assert (len(valid), len(test), len({*valid, *test})) == (5, 11, 16)


@pytest.fixture
def emilia(tmp_path):
    """A copy of the recipe, and three shards of four speakers each."""
    egs = tmp_path / "egs"
    for name in ("TEMPLATE/fsqdiff1", "emilia/tts1"):
        shutil.copytree(
            ROOT / "egs" / name,
            egs / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "dump", "exp", "downloads"),
        )
    file = io.BytesIO()
    wave = 0.1 * np.random.default_rng(0).standard_normal(24000)
    soundfile.write(file, wave, 24000, format="FLAC")
    (tmp_path / "EN").mkdir()
    for shard in range(3):
        with tarfile.open(tmp_path / f"EN/EN-B00000{shard}.tar", "w") as tar:
            for number in range(4):
                utt = f"EN_B00000_S{4 * shard + number:05d}_W000000"
                info = {"id": utt, "text": "Hello there.", "duration": 1.0}
                for suffix, content in (
                    (".json", json.dumps(info).encode()),
                    (".flac", file.getvalue()),
                ):
                    member = tarfile.TarInfo(utt + suffix)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return egs / "emilia/tts1"


def test_jobs_of_emilia(emilia, tmp_path, monkeypatch):
    monkeypatch.chdir(emilia)
    options = f"--corpus {tmp_path} --num_jobs 2 --valid_share 0.3 --test_share 0.3"
    stage = ["./run.sh", "--stop_stage", "1", "--local_data_opts"]
    done = run(*stage, options, cwd=emilia)
    assert done.returncode == 0, done.stderr
    sets = [DataDir.read(f"data/{name}") for name in ("train", "valid", "test")]
    assert min(map(len, sets)) > 0 and sum(map(len, sets)) == 12
    logs = [Path(f"data/log/shards.{job}.log").read_text() for job in (1, 2)]
    assert [log.count("'utterances': 4") for log in logs] == [2, 1]
    # A damaged shard is named, and the stage fails.
    (tmp_path / "EN/EN-B000009.tar").write_bytes(b"")
    done = run(*stage, options, cwd=emilia)
    assert done.returncode != 0 and "EN-B000009.tar: cut short" in done.stderr
    done = run(*stage, options.replace("jobs 2", "jobs none"), cwd=emilia)
    assert done.returncode == 2 and "not 'none'" in done.stderr
