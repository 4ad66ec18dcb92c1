"""Copies through a vocoder: files, figures, going on, faults."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("espnet2")

from espnet_fsqdiff.bin import copy_synthesis  # noqa: E402
from espnet_fsqdiff.errors import InputError  # noqa: E402
from espnet_fsqdiff.scoring.acoustic import compare_acoustics  # noqa: E402

FS = 16000


@pytest.fixture
def arguments(tmp_path):
    t = np.arange(8000) / FS
    lines = []
    for i, utt in enumerate("abc"):
        f0 = 110 + 20 * i
        wave = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 20))
        soundfile.write(tmp_path / f"{utt}.wav", 0.1 * wave, FS)
        lines.append(f"{utt} {tmp_path}/{utt}.wav\n")
    (tmp_path / "wav.scp").write_text("".join(lines))
    return [
        f"--wav_scp={tmp_path}/wav.scp",
        f"--output_dir={tmp_path}/out",
        *("--fs=16000", "--n_fft=512", "--n_shift=128", "--num_iters=4"),
    ]


def test_copies_and_figures(arguments, tmp_path):
    copy_synthesis.main([*arguments, "--num_utts=2"])
    out = tmp_path / "out"
    assert (out / "wav.scp").read_text() == f"a {out}/wav/a.wav\nb {out}/wav/b.wav\n"
    for utt in "ab":
        wave, fs = soundfile.read(tmp_path / f"{utt}.wav")
        copy, fs_copy = soundfile.read(out / "wav" / f"{utt}.wav")
        assert fs_copy == fs and abs(len(wave) - len(copy)) < 128
        assert compare_acoustics(wave, copy).mcd < 8
        assert compare_acoustics(wave, copy).log_f0_rmse < 0.15
    stats = json.loads((out / "stats.json").read_text())
    assert stats["rtf"] > 0 and stats["rtf_cpu"] > 0
    assert (stats["threads"], stats["parameters"], stats["bytes"]) == (1, 0, 0)


def test_goes_on(arguments, tmp_path):
    copy_synthesis.main([*arguments, "--num_utts=2"])
    out = tmp_path / "out"
    first = out / "wav" / "a.wav"
    before = first.stat().st_mtime_ns, (out / "utt2work").read_text()
    (out / "wav" / "b.wav").unlink()
    copy_synthesis.main(arguments)
    assert first.stat().st_mtime_ns == before[0]
    work = (out / "utt2work").read_text().splitlines()
    assert work[0] == before[1].splitlines()[0] and len(work) == 3
    assert len((out / "wav.scp").read_text().splitlines()) == 3
    speech = sum(float(line.split()[3]) for line in work)
    wall = sum(float(line.split()[1]) for line in work)
    rtf = json.loads((out / "stats.json").read_text())["rtf"]
    assert rtf == pytest.approx(wall / speech, rel=1e-3)


def test_other_recordings_under_the_same_names_are_copied(arguments, tmp_path):
    scp, out = tmp_path / "wav.scp", tmp_path / "out"

    def copied(*more):
        before = dict(times())
        copy_synthesis.main([*arguments, *more])
        return [utt for utt, time in times() if before.get(utt) != time]

    def times():
        return [(p.stem, p.stat().st_mtime_ns) for p in sorted(out.glob("wav/*.wav"))]

    assert copied("--num_utts=2") == ["a", "b"]
    table = scp.read_text()
    scp.write_text(table.replace("/a.wav", "/c.wav"))
    assert copied() == ["a", "c"]
    copies = [soundfile.read(out / "wav" / f"{utt}.wav")[0] for utt in "ac"]
    np.testing.assert_array_equal(*copies)
    soundfile.write(tmp_path / "b.wav", 0.1 * np.sin(np.arange(6000)), FS)
    assert copied() == ["b"] and copied() == []


def test_faults(arguments, tmp_path):
    copy_synthesis.main([*arguments, "--num_utts=1"])
    with pytest.raises(InputError, match="other options; remove it"):
        copy_synthesis.main([*arguments, "--n_mels=40"])
    with pytest.raises(InputError, match="belong together"):
        copy_synthesis.main([*arguments, "--vocoder_file=x.pth"])
    with pytest.raises(InputError, match="at least 1"):
        copy_synthesis.main([*arguments, "--num_threads=0"])
    soundfile.write(tmp_path / "b.wav", 0.1 * np.sin(np.arange(200)), FS)
    with pytest.raises(InputError, match="b: too short"):
        copy_synthesis.main(arguments)
    (tmp_path / "wav.scp").write_text("")
    with pytest.raises(InputError, match="wav.scp: no utterance"):
        copy_synthesis.main(arguments)


class Linear:
    """Stands in for a trained vocoder: 160 samples a frame."""

    def __init__(self, config, file, device):
        assert (config.name, file.name, device) == ("config.yaml", "x.pth", "cpu")
        self.fs = FS
        self.mel = dict(fs=FS, n_fft=512, n_shift=160, n_mels=20, fmin=0, fmax=8000)
        self.network = torch.nn.Linear(20, 160)

    @classmethod
    def from_files(cls, config, file, device):
        return cls(Path(config), Path(file), device)

    @torch.no_grad()
    def __call__(self, mel):
        return 0.1 * self.network(mel).flatten()


def test_trained_vocoder_brings_its_mel(arguments, tmp_path, monkeypatch):
    module = types.ModuleType("espnet_fsqdiff.vocoder")
    module.TrainedVocoder = Linear
    monkeypatch.setitem(sys.modules, "espnet_fsqdiff.vocoder", module)
    for name in ("config.yaml", "x.pth"):
        (tmp_path / name).write_text(name)
    trained = [
        *arguments[:2],
        f"--vocoder_train_config={tmp_path}/config.yaml",
        f"--vocoder_file={tmp_path}/x.pth",
    ]
    copy_synthesis.main(trained)
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())
    assert stats["parameters"] == 21 * 160 and stats["bytes"] == 4 * 21 * 160
    wave, fs = soundfile.read(tmp_path / "out/wav/a.wav")
    assert fs == FS and len(wave) == 51 * 160
    # Trained further, it is another one.
    (tmp_path / "x.pth").write_text("later")
    with pytest.raises(InputError, match="other options"):
        copy_synthesis.main(trained)
