"""Generators: lengths, reconstruction, a batch as alone, what does not fit."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.vocoder.hifigan import HiFiGANGenerator
from espnet_fsqdiff.vocoder.istft import ISTFTGenerator, inverse_stft, spectrum_of

SMALL = dict(hidden_size=16, num_blocks=2)


def generator(kind, n_mels=8, hop=160, **conf):
    torch.manual_seed(0)
    if kind == "istft":
        made = ISTFTGenerator(n_mels, hop, **{**SMALL, **conf})
        torch.nn.init.normal_(made.head.weight)  # a wave that is not silent
        return made.eval()
    conf = {"upsample_scales": [5, 4, 4, 2], "channels": 32, **conf}
    return HiFiGANGenerator(n_mels, hop, **conf).eval()


@pytest.mark.parametrize("n_fft, hop", [(640, 160), (960, 240), (588, 147), (600, 200)])
def test_true_spectra_give_back_the_wave(n_fft, hop):
    torch.manual_seed(0)
    frames, window = 30, torch.hann_window(n_fft)
    wave = 0.1 * torch.randn(2, frames * hop)
    true = torch.stft(
        *(wave, n_fft, hop, n_fft, window),
        center=True,
        normalized=True,
        return_complex=True,
    ).transpose(1, 2)[:, :frames]
    # Any turn more or less of the phase is the same phase.
    turns = 2 * torch.pi * torch.randint(-2, 3, true.shape)
    spectrum = spectrum_of(true.abs().log(), true.angle() + turns)
    made = inverse_stft(spectrum, hop, window)
    assert made.shape == wave.shape
    torch.testing.assert_close(made, wave, atol=1e-5, rtol=0)


def test_magnitudes_are_bounded():
    spectrum = spectrum_of(torch.tensor([0.0, 50.0]), torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(spectrum.abs(), torch.tensor([1.0, 100.0]))


@pytest.mark.parametrize(
    "kind, hop, conf",
    [
        ("istft", 160, {}),
        ("istft", 480, dict(frames_per_mel=2)),
        ("istft", 441, dict(frames_per_mel=3)),
        ("istft", 294, dict(frames_per_mel=2, n_fft=512)),
        ("hifigan", 160, {}),
        ("hifigan", 441, dict(upsample_scales=[7, 7, 3, 3])),
    ],
)
@pytest.mark.parametrize("frames", [1, 2, 13])
@torch.no_grad()
def test_a_wave_has_one_hop_a_frame(kind, hop, conf, frames):
    wave = generator(kind, hop=hop, **conf)(torch.randn(2, frames, 8))
    assert wave.shape == (2, frames * hop) and wave.dtype == torch.float32
    assert wave.isfinite().all() and (wave.std(1) > 0).all()


@pytest.mark.parametrize(
    "kind, conf", [("istft", dict(frames_per_mel=2)), ("hifigan", {})]
)
@torch.no_grad()
def test_each_of_a_batch_sounds_as_alone(kind, conf):
    made = generator(kind, **conf)
    mels = [torch.randn(n, 8) - 2 for n in (11, 3, 20, 1)]
    for mel, wave in zip(mels, made.waves(mels)):
        assert wave.shape == (len(mel) * 160,)
        alone = made(mel[None])[0]
        torch.testing.assert_close(wave, alone, atol=1e-5 * alone.abs().max(), rtol=0)


@torch.no_grad()
def test_folded_weights_sound_the_same():
    made = generator("hifigan")
    mel = torch.randn(1, 7, 8)
    before, size = made(mel), len(made.state_dict())
    made.fold()
    made.fold()
    torch.testing.assert_close(made(mel), before)
    assert len(made.state_dict()) < size


@torch.no_grad()
def test_a_mel_frame_is_heard_in_its_own_place():
    """A frame changes the wave around its centre, at f * hop, by half its windows."""
    made = generator("istft", num_blocks=1, kernel_size=1)
    mel = torch.zeros(1, 20, 8)
    struck = mel.clone()
    struck[0, 10] = 1.0
    moved = (made(struck) - made(mel)).abs()[0] > 1e-6
    heard = moved.nonzero().flatten()
    assert 10 * 160 - 320 <= heard[0] < 10 * 160 < heard[-1] < 10 * 160 + 320


@pytest.mark.parametrize(
    "kind, conf, message",
    [
        ("istft", dict(frames_per_mel=3), "frames_per_mel 3 does not divide .* 160"),
        ("istft", dict(n_fft=641), "n_fft 641 is odd or below"),
        ("istft", dict(n_fft=478), "n_fft 478 is odd or below three hops of 160"),
        ("hifigan", dict(upsample_scales=[5, 4]), "multiply to 20, .* hop is 160"),
    ],
)
def test_what_does_not_fit_the_hop_is_refused(kind, conf, message):
    with pytest.raises(InputError, match=message):
        generator(kind, **conf)


def test_a_cpu_meets_few_lengths():
    made, seen = generator("istft"), set()
    made.input.register_forward_pre_hook(lambda _, args: seen.add(args[0].size(2)))
    for frames in range(1, 17):
        (wave,) = made.waves([torch.randn(frames, 8)])
        assert len(wave) == 160 * frames
    assert seen == {8, 16}
