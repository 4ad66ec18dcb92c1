"""The mini recipe, one epoch through all stages, killed and repeated."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import yaml

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("flite") is None, reason="flite is not installed (apt install flite)"
)


def run(recipe, *options):
    """Run the recipe with this Python and this package."""
    path = [str(Path(sys.executable).parent), os.environ["PATH"]]
    return subprocess.run(
        ["./run.sh", "--preset", "test", *options],
        cwd=recipe,
        text=True,
        capture_output=True,
        env={**os.environ, "PATH": ":".join(path), "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A copy of the recipe that has run once."""
    egs = tmp_path_factory.mktemp("project") / "egs"
    for name in ("TEMPLATE/fsqdiff1", "mini/tts1"):
        shutil.copytree(
            ROOT / "egs" / name,
            egs / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "dump", "exp", "downloads"),
        )
    recipe = egs / "mini" / "tts1"
    done = run(recipe)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return recipe


def report_of(recipe):
    (scores,) = recipe.glob("exp/tiny/**/report/scores.json")
    return scores.parent


def test_ends_with_waves_report_and_pack(recipe):
    report = report_of(recipe)
    scores = json.loads((report / "scores.json").read_text())
    for system in ("original", "resynthesis", "synthesis"):
        assert 0 <= scores[system]["cer"]
    assert scores["original"]["cer"] < 0.5
    assert 0 <= scores["synthesis"]["rollout_token_accuracy"] <= 1
    assert scores["synthesis"]["rtf"] > 0
    assert scores["tokens"]["rate_hz"] == 25
    assert scores["duration"]["mean_relative_error"] >= 0
    assert "data:audio" in (report / "index.html").read_text()
    assert len(list(recipe.glob("exp/tiny/cdcd_*/*/test/wav/*.wav"))) == 4
    assert list(recipe.glob("exp/tiny/cdcd_*/packed/*.zip"))


def test_tokens_are_whole_and_aligned(recipe):
    for data in ("train", "valid", "test"):
        (tokens,) = recipe.glob(f"dump/tiny/tokens/*/{data}")
        wav = (recipe / f"dump/tiny/raw/{data}/wav.scp").read_text().splitlines()
        names = [line.split()[0] for line in wav]
        durations = dict(
            line.split(maxsplit=1)
            for line in (tokens / "durations.txt").read_text().splitlines()
        )
        lengths = dict(
            line.split()
            for line in (tokens / "utt2num_tokens").read_text().splitlines()
        )
        assert list(durations) == list(lengths) == names
        for name in names:
            assert sum(map(int, durations[name].split())) == int(lengths[name])


def test_a_stage_can_be_run_again_alone(recipe):
    before = (report_of(recipe) / "scores.json").read_text()
    done = run(recipe, "--stage", "12", "--stop_stage", "13")
    assert done.returncode == 0, done.stderr[-3000:]
    old = json.loads(before)
    new = json.loads((report_of(recipe) / "scores.json").read_text())
    for system in ("original", "resynthesis", "synthesis"):
        assert new[system]["cer"] == old[system]["cer"]


def in_parts(recipe, splits, table, whole, config):
    """Whether a training has read its set in two parts, each utterance once."""
    (whole,) = recipe.glob(whole)
    parts = sorted(recipe.glob(f"exp/tiny/{splits}/splits2/{table}/split.*"))
    lines = [part.read_text().splitlines() for part in parts]
    assert len(lines) == 2 and min(map(len, lines)) > 0
    assert sorted(sum(lines, [])) == sorted(whole.read_text().splitlines())
    config = yaml.safe_load((recipe / "exp/tiny" / config).read_text())
    assert config["multiple_iterator"] is True


def test_trainings_can_read_their_set_in_parts(recipe):
    options = (
        *("--num_splits", "2", "--tag", "parts"),
        *("--tokenizer_tag", "parts", "--tokenizer_args", "--max_epoch 1"),
    )
    done = run(recipe, "--stage", "6", "--stop_stage", "10", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    wavs = "dump/tiny/raw/train/wav.scp"
    tokens = "dump/tiny/tokens/parts/train/tokens.scp"
    in_parts(recipe, "tokenizer_stats", "wav.scp", wavs, "tokenizer_parts/config.yaml")
    in_parts(recipe, "cdcd_stats_parts", "tokens.scp", tokens, "cdcd_parts/config.yaml")
    assert (recipe / "exp/tiny/cdcd_parts/valid.loss.ave.pth").exists()


def test_token_to_wave_is_trained_tuned_and_used(recipe):
    options = (
        *("--token2mel_config", "conf/train_token2mel_test.yaml"),
        *("--vocoder_config", "conf/train_vocoder_test.yaml"),
        *("--vocoder_finetune_config", "conf/train_vocoder_test.yaml"),
        *("--inference_tag", "chain"),
    )
    done = run(recipe, "--stage", "11", "--stop_stage", "12", *options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    again = run(recipe, "--stage", "11", "--stop_stage", "11", *options)
    assert again.returncode == 0, again.stderr[-3000:]
    # Statistics, flow matching, vocoder, mels, its tuning.
    assert again.stdout.count("it is there, of the same inputs") == 5
    (chain,) = recipe.glob("exp/tiny/cdcd_*/chain/test/wav")
    waves = sorted(chain.glob("*.wav"))
    assert len(waves) == 4
    for wave in waves:
        samples, fs = soundfile.read(wave)
        assert fs == 16000 and abs(samples).max() > 0
        assert len(samples) % 640 == 0  # whole tokens: 25 a second


def test_a_missing_input_names_its_stage(recipe, tmp_path):
    done = run(
        recipe,
        *("--stage", "10", "--stop_stage", "10", "--expdir", str(tmp_path / "none")),
    )
    assert done.returncode != 0
    assert "stage 6" in done.stderr and "tokenizer training" in done.stderr
