"""A small mel and waves with pitch, noise and pauses."""

import numpy as np
import pytest
import torch

FS, HOP, N_MELS = 16000, 160, 20
MEL_CONF = dict(fs=FS, n_fft=640, hop_length=HOP, n_mels=N_MELS, fmin=0, fmax=None)


def voice(seconds, seed=0, fs=FS):
    """A harmonic tone of gliding pitch that comes and goes, float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * fs)) / fs
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 3 * time)) / fs
    wave = sum(np.sin(k * phase) / k for k in range(1, 20))
    wave = wave * (0.1 + np.sin(2 * np.pi * 2 * time) ** 2)
    return (0.1 * wave + rng.normal(0, 0.003, time.size)).astype(np.float32)


@pytest.fixture(scope="session")
def wave_mel():
    from espnet_fsqdiff.vocoder.mel import WaveMel

    return WaveMel(**MEL_CONF)


@pytest.fixture(scope="session")
def waves():
    return [torch.from_numpy(voice(s, i)) for i, s in enumerate((0.5, 0.31, 0.8))]
