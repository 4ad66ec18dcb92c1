"""ParallelWaveGAN and Vocos from files of theirs: sound, mels, nothing run."""

import math

import numpy as np
import pytest
import torch
import yaml

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav import build_vocoder, external
from espnet_fsqdiff.token2wav.external.convert import MelConverter
from espnet_fsqdiff.token2wav.external.parallel_wavegan import mend_scipy
from espnet_fsqdiff.token2wav.mel import log_mel

FS = 16000
MEL = dict(fs=FS, n_fft=512, n_shift=160, win_length=None, window="hann")
MEL |= dict(n_mels=20, fmin=0, fmax=8000)


def speech(fs=FS, seconds=0.5):
    """Harmonics of 120 Hz that fade in and out, and some noise."""
    t = np.arange(int(fs * seconds)) / fs
    tones = sum(np.sin(2 * math.pi * 120 * k * t) / k for k in range(1, 30))
    noise = np.random.default_rng(0).normal(size=len(t))
    swell = np.sin(math.pi * t / seconds)
    return (0.1 * swell * tones + 0.005 * noise).astype(np.float32)


# --- ParallelWaveGAN ----------------------------------------------------------------

HIFIGAN = dict(
    in_channels=20,
    channels=16,
    upsample_scales=[10, 16],
    upsample_kernel_sizes=[20, 32],
    resblock_kernel_sizes=[3],
    resblock_dilations=[[1]],
    out_channels=1,
)
PWG_CONFIG = dict(
    sampling_rate=FS,
    fft_size=512,
    hop_size=160,
    win_length=None,
    window="hann",
    num_mels=20,
    fmin=0,
    fmax=8000,
    format="npy",
    generator_type="HiFiGANGenerator",
    generator_params=HIFIGAN,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A HiFi-GAN that was never trained, as parallel_wavegan saves one."""
    pytest.importorskip("parallel_wavegan")
    mend_scipy()
    from parallel_wavegan import models

    torch.manual_seed(0)
    model = models.HiFiGANGenerator(**HIFIGAN)
    file = tmp_path / "checkpoint-1steps.pkl"
    torch.save({"model": {"generator": model.state_dict()}, "steps": 1}, file)
    (tmp_path / "config.yml").write_text(yaml.safe_dump(PWG_CONFIG))
    return file, model


def pwg(file, mel=MEL, **conf):
    return build_vocoder("parallel_wavegan", mel, dict(model_file=str(file), **conf))


@torch.no_grad()
def test_parallel_wavegan_speaks(checkpoint):
    file, model = checkpoint
    vocoder = pwg(file)
    mel = torch.randn(7, 20)
    wave = vocoder(mel)
    assert wave.shape == (7 * 160,) and vocoder.fs == FS
    torch.testing.assert_close(wave, model.eval().inference(mel).flatten())
    first, second = vocoder.batch([mel, mel[:3]])
    assert torch.equal(first, wave) and torch.equal(second, vocoder(mel[:3]))
    # With the statistics beside it.
    stats = np.stack([np.full(20, 0.5), np.full(20, 2.0)]).astype(np.float32)
    np.save(file.parent / "stats.npy", stats)
    scaled = model.inference((mel - 0.5) / 2.0).flatten()
    torch.testing.assert_close(pwg(file)(mel), scaled)


@torch.no_grad()
def test_parallel_wavegan_of_natural_logarithms(checkpoint):
    file, model = checkpoint
    config = {**PWG_CONFIG, "log_base": None}
    (file.parent / "config.yml").write_text(yaml.safe_dump(config))
    mel = torch.randn(4, 20)
    expected = model.eval().inference(mel * math.log(10)).flatten()
    torch.testing.assert_close(pwg(file)(mel), expected)


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        import pathlib

        return pathlib.Path.touch, (pathlib.Path(self.path),)


def test_a_checkpoint_with_code_is_not_run(checkpoint, tmp_path):
    file, model = checkpoint
    states = {"generator": model.state_dict()}
    torch.save({"model": states, "more": Evil(tmp_path / "ran")}, file)
    with pytest.raises(InputError, match="could run code .* trust_checkpoint: true"):
        pwg(file)
    assert not (tmp_path / "ran").exists()
    assert pwg(file, trust_checkpoint=True)(torch.randn(2, 20)).shape == (320,)
    assert (tmp_path / "ran").exists()


def test_a_configuration_with_code_is_not_run(checkpoint, tmp_path):
    file, _ = checkpoint
    ran = tmp_path / "ran"
    text = f"a: !!python/object/apply:pathlib.Path.touch [{ran}]\n"
    (tmp_path / "config.yml").write_text(text)
    with pytest.raises(InputError, match="config.yml: not yaml"):
        pwg(file)
    assert not ran.exists()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: f.unlink(), "no such file"),
        (lambda f: f.write_bytes(b"x"), "more than weights|cannot be read"),
        (lambda f: torch.save({"model": {}}, f), "no checkpoint of parallel_wavegan"),
        (
            lambda f: torch.save({"model": {"generator": {}}}, f),
            "does not fit its configuration",
        ),
        (
            lambda f: (f.parent / "config.yml").write_text("sampling_rate: 16000\n"),
            "its configuration has no fft_size",
        ),
    ],
)
def test_files_of_parallel_wavegan_that_do_not_fit(checkpoint, damage, message):
    damage(checkpoint[0])
    with pytest.raises(InputError, match=message) as caught:
        pwg(checkpoint[0])
    assert "\n" not in str(caught.value)


def test_parallel_wavegan_of_other_mels(checkpoint):
    with pytest.raises(InputError, match="differ in n_shift: .* hop 200.* hop 160"):
        pwg(checkpoint[0], dict(MEL, n_shift=200))


@pytest.mark.parametrize("name", ["parallel_wavegan", "vocos"])
def test_what_is_not_installed_is_named(name, monkeypatch):
    monkeypatch.setattr(external.importlib.util, "find_spec", lambda _: None)
    files = dict(model_file="x", config_file="y")
    with pytest.raises(InputError, match=f"not installed; pip install {name}"):
        build_vocoder(name, MEL, files)


# --- Vocos --------------------------------------------------------------------------

VOCOS = {
    "feature_extractor": {
        "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
        "init_args": dict(
            sample_rate=24000, n_fft=1024, hop_length=256, n_mels=40, padding="center"
        ),
    },
    "backbone": {
        "class_path": "vocos.models.VocosBackbone",
        "init_args": dict(input_channels=40, dim=16, intermediate_dim=32, num_layers=1),
    },
    "head": {
        "class_path": "vocos.heads.ISTFTHead",
        "init_args": dict(dim=16, n_fft=1024, hop_length=256, padding="center"),
    },
}
VOCOS_MEL = dict(fs=24000, n_fft=1024, n_shift=256, win_length=1024, window="hann")
VOCOS_MEL |= dict(n_mels=40, fmin=0, fmax=12000, htk=True)


@pytest.fixture
def vocos_files(tmp_path):
    """A Vocos that was never trained, as its authors publish one."""
    vocos = pytest.importorskip("vocos")
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(VOCOS))
    torch.manual_seed(0)
    model = vocos.Vocos.from_hparams(str(file)).eval()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    files = dict(config_file=str(file), model_file=str(tmp_path / "pytorch_model.bin"))
    return files, model


def test_vocos_gets_the_features_it_was_trained_on(vocos_files):
    files, model = vocos_files
    vocoder = build_vocoder("vocos", VOCOS_MEL, files)
    wav = speech(24000)
    expected = model.feature_extractor(torch.from_numpy(wav)[None])[0]
    mel = log_mel(wav, VOCOS_MEL)
    torch.testing.assert_close(vocoder.features(mel), expected, atol=2e-3, rtol=0)
    with torch.no_grad():
        decoded = model.decode(vocoder.features(mel)[None])[0]
    wave = vocoder(mel)
    assert vocoder.fs == 24000 and torch.equal(wave, decoded)
    first, second = vocoder.batch([mel, mel[:9]])
    assert torch.equal(first, wave) and torch.equal(second, vocoder(mel[:9]))


def test_vocos_of_other_mels_says_which_it_wants(vocos_files):
    files, model = vocos_files
    mel = dict(MEL, n_mels=80)
    with pytest.raises(InputError) as caught:
        build_vocoder("vocos", mel, files)
    message = str(caught.value)
    assert "24000 Hz, n_fft 1024, hop 256, hann window of 1024, 40 bins" in message
    assert "HTK scale" in message and "convert: true" in message
    assert "\n" not in message
    vocoder = build_vocoder("vocos", mel, dict(files, convert=True))
    wav = speech(16000)
    features = vocoder.features(log_mel(wav, mel))
    seconds = features.size(1) * 256 / 24000
    assert seconds == pytest.approx(len(wav) / 16000, abs=0.02)
    assert vocoder(log_mel(wav, mel)).shape == ((features.size(1) - 1) * 256,)


def test_a_converted_mel_is_near_the_true_one():
    fine = dict(VOCOS_MEL, fs=16000, n_shift=160, n_mels=80, fmax=8000)
    coarse = dict(MEL, n_fft=1024, n_mels=80)
    wav = speech()
    true = np.power(10.0, log_mel(wav, fine).numpy())
    made = MelConverter(coarse, fine, norm="slaney")(log_mel(wav, coarse))
    assert made.shape == true.shape
    error = 20 * np.abs(np.log10(made[5:-5]) - np.log10(true[5:-5]))
    assert np.median(error) < 2
    # Another hop and rate: as many seconds, and still near.
    target = dict(VOCOS_MEL, n_mels=80)
    true = np.power(10.0, log_mel(speech(24000), target).numpy())
    made = MelConverter(coarse, target, norm="slaney")(log_mel(wav, coarse))
    assert abs(len(made) - len(true)) <= 1
    n = min(len(made), len(true)) - 5
    below = slice(0, 60)  # of the coarser mel's 8 kHz
    error = np.log10(made[5:n, below]) - np.log10(true[5:n, below])
    assert np.median(np.abs(20 * error)) < 4


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(head=None), "it has no head"),
        (dict(head={"class_path": "os.system"}), "head is os.system; known are"),
        (
            {"feature_extractor": {"class_path": "vocos.EncodecFeatures"}},
            "give a Vocos of mels",
        ),
        (
            {
                "feature_extractor": {
                    "class_path": VOCOS["feature_extractor"]["class_path"],
                    "init_args": dict(padding="same"),
                }
            },
            "not centred",
        ),
    ],
)
def test_configurations_of_vocos_that_do_not_fit(vocos_files, change, message):
    files, _ = vocos_files
    with open(files["config_file"], "w") as f:
        yaml.safe_dump({**VOCOS, **change}, f)
    with pytest.raises(InputError, match=message):
        build_vocoder("vocos", VOCOS_MEL, dict(files, convert=True))
