import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.data.audio import (
    Notices,
    load_audio,
    mono_wave,
    read_audio,
    resample,
)
from espnet_fsqdiff.errors import InputError


def tone(seconds=0.5, fs=16000, hz=440.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * fs)) / fs)).astype(
        np.float32
    )


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_reads_what_was_written(tmp_path, suffix):
    wave = tone()
    soundfile.write(tmp_path / f"x.{suffix}", wave, 16000)
    out, rate, channels = read_audio(tmp_path / f"x.{suffix}", "utt1")
    assert (rate, channels, out.dtype) == (16000, 1, np.float32)
    np.testing.assert_allclose(out, wave, atol=1e-4)


def test_stereo_and_rate_are_mended_and_said_once(tmp_path):
    left = tone(fs=24000)
    soundfile.write(tmp_path / "x.wav", np.stack([left, 0 * left], 1), 24000)
    said = []
    notices = Notices(said.append)
    for utt in ["utt1", "utt2", "utt3"]:
        wave = load_audio(tmp_path / "x.wav", 16000, utt, notices)
    assert len(said) == 2 and all("utt1" in s and "said once" in s for s in said)
    # Half of the level, since the right channel is silent.
    inner = slice(1000, -1000)
    np.testing.assert_allclose(wave[inner], tone()[inner] / 2, atol=2e-3)


def test_resampling_keeps_the_length_in_seconds():
    assert len(resample(tone(fs=44100), 44100, 16000)) == 8000
    wave = tone()
    assert resample(wave, 16000, 16000) is wave


def cut(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_truncated(tmp_path, suffix, keep):
    path = tmp_path / f"x.{suffix}"
    rng = np.random.default_rng(0)
    soundfile.write(path, tone(2.0) + 0.01 * rng.standard_normal(32000), 16000)
    cut(path, keep)
    with pytest.raises(InputError, match=r"^utt7: .*x\.\w+ .*(cut short|damaged)"):
        read_audio(path, "utt7")


@pytest.mark.parametrize(
    "wave, why",
    [
        (np.zeros(16000), "silent"),
        (np.full(16000, 0.01), "silent"),
        (np.zeros(0), "empty"),
        (np.array([0.1, np.nan, 0.2]), "NaN"),
        (np.array([0.1, 0.2, np.inf]), "infinite"),
    ],
)
def test_bad_samples(tmp_path, wave, why):
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match=f"^utt7: .*{why}"):
        read_audio(tmp_path / "x.wav", "utt7")


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8, bool])
def test_whole_numbers_are_no_wave(kind):
    wave = (100 * tone()).astype(kind)
    with pytest.raises(InputError, match="^a: .* floating point in \\[-1, 1\\]"):
        mono_wave(wave, "a")
    with pytest.raises(InputError, match="^a: .* floating point in \\[-1, 1\\]"):
        mono_wave(wave.tolist(), "a")
    assert mono_wave(tone().tolist(), "a").dtype == np.float32


def test_quiet_speech_is_not_silent(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone() * 0.003, 16000)
    assert len(read_audio(tmp_path / "x.wav", "utt7")[0]) == 8000


def test_missing_and_no_audio(tmp_path):
    with pytest.raises(InputError, match="^utt7: no audio file"):
        read_audio(tmp_path / "none.wav", "utt7")
    (tmp_path / "x.wav").write_text("these are words, not samples")
    with pytest.raises(InputError, match="^utt7: .*damaged or no audio"):
        read_audio(tmp_path / "x.wav", "utt7")


def test_header_that_was_written_to_a_pipe(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(), 16000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read_audio(path, "utt7")[0]) == 8000


@pytest.mark.parametrize("rate", [1, 2, 999, 2**31 - 1])
def test_rates_of_no_recording_are_refused(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", tone(), rate)
    with pytest.raises(InputError, match=f"utt1: .*x.wav is at {rate} Hz"):
        load_audio(tmp_path / "x.wav", 16000, "utt1")
    with pytest.raises(InputError, match=f"audio at {rate} Hz"):
        resample(tone(), rate, 16000)


def test_a_header_that_promises_too_much_takes_no_memory(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, tone(), 16000)
    data = bytearray(path.read_bytes())
    # The number of samples: the last 36 bits before the checksum of STREAMINFO.
    data[21:26] = bytes([data[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xF0])
    path.write_bytes(data)
    with pytest.raises(InputError, match="utt1: .*x.flac is (cut short|damaged)"):
        read_audio(path, "utt1")


def test_odd_names_are_no_files(tmp_path):
    for name in ("a\0b", "x" * 5000, str(tmp_path)):
        with pytest.raises(InputError, match="utt1: no audio file"):
            read_audio(name, "utt1")
