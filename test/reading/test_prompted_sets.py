"""tts_inference speaks a set whose utterances have prompts, each after its own."""

import json

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.bin.tts_inference import main
from espnet_fsqdiff.data.datadir import DataDir
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token_io import read_int_table, write_int_table

TEXTS = {"a": "good night", "b": "it is late and so good night", "c": "hello"}
SAID = "hello there my friend"  # 36 frames predicted
SECONDS = dict(a=1.2, b=1.44, c=1.8)
DATA = "dump/raw/test"


def write_set(folder, seconds=SECONDS):
    """A data directory, each utterance with a prompt of another pitch and length."""
    data = DataDir({}, {}, {})
    for i, (utt, text) in enumerate(TEXTS.items()):
        path = folder / f"{utt}.wav"
        time = np.arange(round(seconds[utt] * 22050)) / 22050
        loud = 0.2 + 0.1 * np.sin(2 * np.pi * 3 * time)
        soundfile.write(path, loud * np.sin(2 * np.pi * 150 * (i + 1) * time), 22050)
        data.wav[utt] = data.prompt_wav[utt] = str(path)
        data.text[utt], data.utt2spk[utt] = text, "s"
        data.prompt_text[utt] = SAID
    data.write(folder / DATA)
    return data


def command(files, folder, name, *more):
    """Run it; returns tokens by utterance id and stats.json."""
    roles = ["train_config", "model_file", "tokenizer_config", "tokenizer_file"]
    cmd = []
    for role in [*roles, "duration_file"]:
        cmd += [f"--{role}", str(files[role])]
    out = folder / name
    cmd += ["--data_dir", str(folder / DATA), "--output_dir", str(out)]
    cmd += ["--num_steps", "2", "--vocoder_conf", "num_iters=1", *more]
    main(cmd)
    assert len(list(out.glob("wav/*.wav"))) == 3
    tokens = read_int_table(out / "tokens.txt")
    return tokens, json.loads((out / "stats.json").read_text())


def test_a_set_with_prompts(voice, tmp_path):
    data = write_set(tmp_path)
    rows = {utt: np.arange(40 + i) % 27 for i, utt in enumerate(TEXTS)}
    true = tmp_path / "tokens"
    true.mkdir()
    offsets = write_ark(true / "t.ark", rows)
    scp = "".join(f"{utt} {true}/t.ark:{at}\n" for utt, at in offsets.items())
    (true / "tokens.scp").write_text(scp)
    write_int_table(true / "tokens.txt", rows)
    options = ["--tokens_dir", str(true)]
    together, stats = command(voice.files, tmp_path, "together", *options)
    assert stats["prompts"] == 3 and 0 <= stats["rollout_token_accuracy"] <= 1
    alone, _ = command(voice.files, tmp_path, "alone", *options, "--batch_size", "1")
    rollouts = [
        (tmp_path / name / "rollout.txt").read_text() for name in ("together", "alone")
    ]
    assert rollouts[0] == rollouts[1]
    data.prompt_wav = data.prompt_text = {}
    data.write(tmp_path / DATA)
    without, stats = command(voice.files, tmp_path, "without", *options)
    assert "prompts" not in stats
    for utt in TEXTS:
        np.testing.assert_array_equal(together[utt], alone[utt])
        # Another pace, and where that is the same other tokens.
        assert together[utt].tolist() != without[utt].tolist()
    pace = {utt: len(together[utt]) / len(without[utt]) for utt in TEXTS}
    assert pace["a"] < pace["b"] < pace["c"]
    plain = (tmp_path / "without" / "rollout.txt").read_text()
    assert plain != rollouts[0]


def test_what_does_not_do_is_named_before_anything_is_spoken(voice, tmp_path):
    write_set(tmp_path, dict(SECONDS, c=0.5))
    with pytest.raises(InputError, match="^c: prompt_wav of 0.5 s is too short"):
        command(voice.files, tmp_path, "out")
    assert not (tmp_path / "out").exists()
    data = write_set(tmp_path)
    del data.prompt_wav["b"]
    data.write(tmp_path / DATA)
    with pytest.raises(InputError, match="prompt_wav.scp: utterance b is missing"):
        command(voice.files, tmp_path, "out")


def test_a_model_without_prompts_says_so(write_voice, tmp_path, caplog):
    files = write_voice(tmp_path / "voice", loss_conf=dict(prompt_prob=0.0))
    write_set(tmp_path)
    _, stats = command(files, tmp_path, "out")
    assert "prompts" not in stats
    assert "prompt_wav.scp is not used: the model was trained without" in caplog.text
