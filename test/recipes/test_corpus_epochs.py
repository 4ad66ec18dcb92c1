"""Every recipe of a published corpus: one epoch through all stages, in miniature.

Five to fifteen minutes for each, so it runs only when it is asked for:

    FSQDIFF_RECIPES=1 python -m pytest test/recipes/test_corpus_epochs.py
"""

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import soundfile

from espnet_fsqdiff.bin.make_mini_corpus import speak
from espnet_fsqdiff.data.audio import resample
from espnet_fsqdiff.data.sentences import draw_sentences

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "egs/librispeech_mini/tts1/conf"

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("FSQDIFF_RECIPES") != "1", reason="FSQDIFF_RECIPES=1 runs it"
    ),
    pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed"),
]


class Voice:
    """Says two sentences in turn into files, at any rate.

    So every set of two utterances has the symbols of all others.
    """

    def __init__(self, folder):
        self.folder, self.sentences = folder, itertools.cycle(draw_sentences(2))

    def wave(self):
        """Return the next sentence and its wave at 16 kHz."""
        text = next(self.sentences)
        path = self.folder / "said.wav"
        path.unlink(missing_ok=True)
        speak(text, "rms", path)
        return text, soundfile.read(path, dtype="float32")[0]

    def say(self, path, rate):
        """Write the next sentence to a file; return it."""
        text, wave = self.wave()
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, resample(wave, 16000, rate), rate)
        return text


def ljspeech(root, voice):
    lines = []
    for number in range(9):
        clip = f"LJ001-{number:04d}"
        text = voice.say(root / f"wavs/{clip}.wav", 22050)
        lines.append(f"{clip}|{text}|{text}\n")
    (root / "metadata.csv").write_text("".join(lines))
    return "--num_valid 2 --num_test 2", []


def librispeech_mini(root, voice):
    lines = ["id\tpath\tspeaker\ttext\n"]
    for reader in ("1688", "367"):
        for number in range(4):
            utt = f"{reader}-142285-{number:04d}"
            text = voice.say(root / f"flac/{utt}.flac", 16000)
            lines.append(f"{utt}\tflac/{utt}.flac\t{reader}\t{text}\n")
    (root / "metadata.tsv").write_text("".join(lines))
    # Where the others have it; by itself it is exp/full.
    return "", ["--expdir", "exp"]


def vctk(root, voice):
    for speaker in ("p225", "p226", "p227", "s5"):
        for number in range(2):
            stem = f"{speaker}/{speaker}_{number:03d}"
            path = root / f"wav48_silence_trimmed/{stem}_mic2.flac"
            text = voice.say(path, 48000)
            path = root / f"txt/{stem}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
    for name, speaker in (("valid", "p226"), ("test", "p225")):
        (root / f"{name}.list").write_text(speaker + "\n")
    return f"--valid_list {root}/valid.list --test_list {root}/test.list", []


def libritts(root, voice):
    sets = (("train-clean-100", 5), ("dev-clean", 2), ("test-clean", 2))
    for reader, (subset, count) in enumerate(sets, 31):
        for number in range(count):
            stem = root / f"{subset}/{reader}/7/{reader}_7_{number:06d}_000000"
            text = voice.say(stem.with_suffix(".wav"), 24000)
            stem.with_name(stem.name + ".normalized.txt").write_text(text)
    speech = root / "LibriSpeech/test-clean/61/70968"
    texts = [voice.say(speech / f"61-70968-000{n}.flac", 16000) for n in range(3)]
    pairs = (
        f"61-70968-0000\t3.0\t{texts[0]}\t61-70968-000{n}\t3.0\t{texts[n]}\n"
        for n in (1, 2)
    )
    (root / "pairs.tsv").write_text("".join(pairs))
    zero_shot = f"--librispeech {root}/LibriSpeech --pairs {root}/pairs.tsv"
    return f"--train_subsets train-clean-100 {zero_shot}", []


def emilia(root, voice):
    (root / "EN").mkdir(parents=True)
    # Of training, except for 5 (validation) and 7 (test), with the shares below.
    for shard, speakers in enumerate(((4, 6), (5, 7))):
        with tarfile.open(root / f"EN/EN-B00000{shard}.tar", "w") as tar:
            for utt in (
                f"EN_B00000_S{s:05d}_W00000{n}" for s in speakers for n in range(2)
            ):
                text, wave = voice.wave()
                file = io.BytesIO()
                soundfile.write(file, wave, 16000, format="MP3")
                seconds = len(wave) / 16000
                info = {"id": utt, "text": f" {text}.", "duration": seconds}
                for suffix, content in (
                    (".json", json.dumps(info).encode()),
                    (".mp3", file.getvalue()),
                ):
                    member = tarfile.TarInfo(utt + suffix)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return "--num_jobs 2 --valid_share 0.3 --test_share 0.3", []


@pytest.mark.parametrize("build", [librispeech_mini, ljspeech, vctk, libritts, emilia])
def test_one_epoch(tmp_path, build):
    name = build.__name__
    for part in ("TEMPLATE/fsqdiff1", f"{name}/tts1"):
        shutil.copytree(
            ROOT / "egs" / part,
            tmp_path / "egs" / part,
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "dump", "exp", "downloads"),
        )
    corpus = tmp_path / "corpus"
    data_opts, options = build(corpus, Voice(tmp_path))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [
            *("./run.sh", "--nj", "2", "--inference_nj", "1", *options),
            *("--local_data_opts", f"--corpus {corpus} {data_opts}"),
            *("--tokenizer_config", str(TOY / "train_tokenizer_test.yaml")),
            *("--train_config", str(TOY / "train_cdcd_test.yaml")),
            *("--tokenizer_model", "valid.loss.ave.pth"),
            *("--inference_args", "--num_steps 2 --vocoder_conf num_iters=2"),
        ],
        cwd=tmp_path / "egs" / name / "tts1",
        text=True,
        capture_output=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    exp = tmp_path / "egs" / name / "tts1/exp"
    (scores,) = exp.glob("cdcd_*/*/report/scores.json")
    assert json.loads(scores.read_text())["synthesis"]["cer"] >= 0
    assert len(list(exp.glob("cdcd_*/decode/*/wav/*.wav"))) == 2
    assert list(exp.glob("cdcd_*/packed/*.zip"))
