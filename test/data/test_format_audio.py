import os

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.bin import format_audio as module
from espnet_fsqdiff.bin.format_audio import main
from espnet_fsqdiff.data.datadir import DataDir, read_num_samples
from espnet_fsqdiff.errors import InputError


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe directory with sets train and test, 24 kHz stereo."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ["train", "test"]:
        data = DataDir({}, {}, {})
        for i in range(4):
            utt = f"{name}_{i}"
            path = tmp_path / f"{utt}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal((2400 + i, 2)), 24000)
            data.wav[utt], data.text[utt], data.utt2spk[utt] = str(path), "x", "s"
        data.write(tmp_path / "data" / name)
    return tmp_path


def run(*more):
    main(["--sets", "train", "test", "--fs", "16000", "--nj", "2", *more])


@pytest.mark.parametrize("audio_format", ["flac", "wav"])
def test_formats_all_sets(recipe, audio_format):
    run("--audio_format", audio_format)
    for name in ["train", "test"]:
        out = DataDir.read(f"dump/raw/org/{name}")
        assert len(out) == 4
        num_samples = read_num_samples(f"dump/raw/org/{name}/utt2num_samples", out.wav)
        for utt, path in out.wav.items():
            info = soundfile.info(path)
            assert path.endswith(f"{utt}.{audio_format}")
            assert (info.samplerate, info.channels) == (16000, 1)
            assert info.frames == num_samples[utt] in (1600, 1601, 1602)


def test_conversions_are_said_once(recipe, caplog):
    with caplog.at_level("INFO"):
        run()
    said = [r.message for r in caplog.records if "said once" in r.message]
    assert len(said) == 2


def test_resumes_after_a_kill(recipe):
    run()
    folder = recipe / "dump/raw/org/train"
    whole = {p.name: p.read_bytes() for p in (folder / "data").iterdir()}
    # As a kill leaves it: no wav.scp, one file to come, and one cut by the disk.
    (folder / "wav.scp").unlink()
    (folder / "utt2num_samples").unlink()
    (folder / "data/train_1.flac").unlink()
    broken = folder / "data/train_2.flac"
    broken.write_bytes(broken.read_bytes()[:-200])
    (folder / "data/train_1.tmp.123.flac").write_bytes(b"fLaC")
    kept = folder / "data/train_0.flac"
    os.utime(kept, ns=(2 * 10**18, 2 * 10**18))
    run()
    assert kept.stat().st_mtime_ns == 2 * 10**18, "a whole file was written again"
    out = DataDir.read(folder)
    assert list(out.wav) == [f"train_{i}" for i in range(4)]
    for name, content in whole.items():
        assert (folder / "data" / name).read_bytes() == content
    assert len(read_num_samples(folder / "utt2num_samples", out.wav)) == 4


def test_prompts_are_files_of_their_own_rate(recipe, caplog):
    data = DataDir.read("data/test")
    names = ["test_1", "test_0", "test_0", "test_0"]
    data.prompt_wav = dict(zip(data.wav, (data.wav[name] for name in names)))
    data.prompt_text = {utt: f"said before {utt}" for utt in data}
    data.write("data/test")
    caplog.set_level("INFO")
    run()
    out = DataDir.read("dump/raw/org/test")
    assert out.prompt_text == data.prompt_text
    files = list(out.prompt_wav.values())
    # One for each recording.
    assert len(set(files)) == 2 and files[1:] == [files[1]] * 3
    for file, frames in zip(files, (2401, 2400)):
        info = soundfile.info(file)
        assert file.startswith("dump/raw/org/test/prompts/test_")
        assert (info.samplerate, info.channels, info.frames) == (24000, 1, frames)
    assert "dump/raw/org/test: 2 prompts, 0 of them were there already" in caplog.text
    assert not os.path.exists("dump/raw/org/train/prompts")
    # Another choice is not taken for what is there.
    data.prompt_wav["test_0"] = data.wav["test_2"]
    data.write("data/test")
    run()
    assert "dump/raw/org/test: 2 prompts, 1 of them were there already" in caplog.text
    out = DataDir.read("dump/raw/org/test")
    assert soundfile.info(out.prompt_wav["test_0"]).frames == 2402
    soundfile.write("quiet.wav", np.zeros(99), 24000)
    data.prompt_wav["test_3"] = "quiet.wav"
    data.write("data/test")
    with pytest.raises(InputError, match="^prompt of test_3: .* silent"):
        run()


def test_another_rate_or_newer_source_is_formatted_again(recipe):
    run()
    main(["--sets", "train", "--fs", "8000", "--nj", "1"])
    assert soundfile.info("dump/raw/org/train/data/train_0.flac").samplerate == 8000
    before = (recipe / "dump/raw/org/train/data/train_0.flac").read_bytes()
    wave = 0.1 * np.random.default_rng(1).standard_normal(4800)
    soundfile.write(recipe / "train_0.wav", wave, 24000)
    os.utime(recipe / "train_0.wav", (4 * 10**9, 4 * 10**9))
    main(["--sets", "train", "--fs", "8000", "--nj", "1"])
    assert (recipe / "dump/raw/org/train/data/train_0.flac").read_bytes() != before


def test_another_recording_is_never_taken_for_the_one_before(recipe):
    run()
    data = DataDir.read("data/train")
    made = recipe / "dump/raw/org/train/data/train_0.flac"
    kept = recipe / "dump/raw/org/train/data/train_1.flac"
    before, os_time = made.read_bytes(), (2 * 10**18, 2 * 10**18)
    os.utime(kept, ns=os_time)
    # Another file, older than what was formatted; then others of the same name.
    data.wav["train_0"] = str(recipe / "test_0.wav")
    os.utime(recipe / "test_0.wav", (10**9, 10**9))
    data.write("data/train")
    run()
    other = made.read_bytes()
    assert other == (recipe / "dump/raw/org/test/data/test_0.flac").read_bytes()
    assert other != before
    (recipe / "train_0.wav").replace(recipe / "test_0.wav")
    run()
    assert made.read_bytes() == before
    assert kept.stat().st_mtime_ns == os_time[0]


def test_a_recording_is_new_to_either_format(recipe):
    source = recipe / "x.1.wav"
    data = DataDir({"x.1": str(source)}, {"x.1": "x"}, {"x.1": "s"})
    data.write("data/test")
    for frames, audio_format in ((800, "flac"), (900, "wav"), (900, "flac")):
        wave = 0.1 * np.random.default_rng(0).standard_normal(frames)
        if not source.exists() or soundfile.info(source).frames != frames:
            soundfile.write(source, wave, 16000)
        main(["--sets", "test", "--audio_format", audio_format, "--nj", "1"])
        (path,) = DataDir.read("dump/raw/org/test").wav.values()
        assert path.endswith(f"x.1.{audio_format}")
        assert soundfile.info(path).frames == frames


def test_bad_audio_is_named_and_no_wav_scp_is_left(recipe):
    soundfile.write(recipe / "train_2.wav", np.zeros(2400), 24000)
    with pytest.raises(InputError, match="^train_2: .*silent"):
        run()
    assert not (recipe / "dump/raw/org/train/wav.scp").exists()


def test_resampled_full_scale_is_clipped(recipe):
    square = np.sign(np.sin(np.arange(24000) / 20.0))
    soundfile.write(recipe / "train_0.wav", square, 24000, subtype="FLOAT")
    job = module.Job("u", recipe / "train_0.wav", recipe / "out.flac", 16000)
    assert module.format_one(job) == module.Done(16000, 1, 24000, False)
    assert np.abs(soundfile.read(recipe / "out.flac")[0]).max() <= 1.0


def test_only_the_utterances_of_other_sets(recipe):
    for name in ("train", "test"):
        kept = DataDir.read(f"data/{name}").subset([f"{name}_1", f"{name}_3"])
        kept.write(recipe / "dump/raw" / name)
    run("--keep_as_in", "dump/raw", "--output_root", "dump/raw_8000", "--fs", "8000")
    for name in ("train", "test"):
        out = DataDir.read(f"dump/raw_8000/{name}")
        assert list(out.wav) == [f"{name}_1", f"{name}_3"]
        assert all(soundfile.info(path).samplerate == 8000 for path in out.wav.values())
    with open("dump/raw/train/wav.scp", "a") as f:
        f.write("train_9 x.wav\n")
    with pytest.raises(InputError, match="dump/raw/train: train_9 is not in data/trai"):
        run("--keep_as_in", "dump/raw")
