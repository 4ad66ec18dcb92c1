"""Mels made audible: the inversion is ESPnet's, the iteration librosa's."""

import numpy as np
import pytest
import torch

from espnet_fsqdiff.token2wav import build_vocoder
from espnet_fsqdiff.token2wav.fast_griffin_lim import fast_griffin_lim

FS, HOP = 16000, 160


def glide(seconds=0.6):
    """A gliding tone with harmonics and a little noise (L,)."""
    time = np.arange(int(seconds * FS)) / FS
    phase = 2 * np.pi * (120 * time + 60 * time**2)
    noise = np.random.default_rng(0).normal(size=len(time))
    return (sum(np.sin(k * phase) / k for k in range(1, 9)) + 0.01 * noise) / 4


def magnitude_of(wave, n_fft, win_length, hop=HOP):
    """(F, n_fft / 2 + 1), zeros beyond the ends."""
    return torch.stft(
        torch.as_tensor(wave, dtype=torch.float32),
        n_fft,
        hop,
        win_length,
        torch.hann_window(win_length),
        pad_mode="constant",
        return_complex=True,
    ).T.abs()


@pytest.mark.parametrize(
    "n_fft, win_length, hop", [(512, 512, 128), (1024, 400, 160), (512, 401, 100)]
)
@pytest.mark.parametrize("momentum", [0.99, 0.0])
def test_it_is_librosas(n_fft, win_length, hop, momentum):
    librosa = pytest.importorskip("librosa")
    magnitude = magnitude_of(glide(), n_fft, win_length, hop)
    options = dict(momentum=momentum, n_fft=n_fft, hop_length=hop)
    theirs = librosa.griffinlim(
        magnitude.T.numpy(), n_iter=8, win_length=win_length, random_state=3, **options
    )
    window = torch.hann_window(win_length)
    ours = fast_griffin_lim(magnitude, window, hop, 8, momentum, seed=3).numpy()
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 2e-3 * np.abs(theirs).max()


def test_iterations_bring_the_spectrogram_nearer():
    magnitude, window = magnitude_of(glide(), 1024, 400), torch.hann_window(400)

    def error(iterations):
        wave = fast_griffin_lim(magnitude, window, HOP, iterations)
        found = magnitude_of(wave, 1024, 400)
        return float((found - magnitude).norm() / magnitude.norm())

    errors = [error(n) for n in (0, 4, 32)]
    assert errors[0] > 2 * errors[1] > 2 * errors[2] and errors[2] < 0.2


def test_the_seed_decides_the_phases():
    magnitude, window = magnitude_of(glide(), 512, 512), torch.hann_window(512)
    first, again, other = (
        fast_griffin_lim(magnitude, window, HOP, 2, seed=s) for s in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_vocoder_inverts_mels_as_espnet_does():
    espnet = pytest.importorskip("espnet2.utils.griffin_lim")
    librosa = pytest.importorskip("librosa")
    from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

    feats = LogMelFbank(
        fs=FS, n_fft=1024, win_length=400, hop_length=HOP, n_mels=80, fmin=0, fmax=8000
    )
    wave = torch.from_numpy(glide()).float()[None]
    mel = feats(wave, torch.tensor([wave.size(1)]))[0][0]
    vocoder = build_vocoder("griffin_lim", feats.get_parameters(), dict(num_iters=4))
    linear = espnet.logmel2linear(mel.numpy(), FS, 1024, 80, 0, 8000)
    theirs = librosa.griffinlim(
        linear.T, n_iter=4, hop_length=HOP, win_length=400, random_state=0
    )
    ours = vocoder(mel)
    assert vocoder.fs == FS and ours.shape == ((len(mel) - 1) * HOP,)
    np.testing.assert_allclose(ours, theirs, atol=2e-3 * np.abs(theirs).max())
