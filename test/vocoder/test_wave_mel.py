"""Mels of parts are parts of mels, and both are ESPnet's."""

import pytest
import torch
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.vocoder.mel import WaveMel

from .conftest import HOP, MEL_CONF, N_MELS


def test_a_whole_mel_is_that_of_espnet(wave_mel, waves):
    espnet = LogMelFbank(**MEL_CONF)
    assert wave_mel.get_parameters() == espnet.get_parameters()
    for wave in waves:
        true, lengths = espnet(wave[None], torch.tensor([wave.numel()]))
        assert lengths == wave.numel() // HOP + 1
        torch.testing.assert_close(wave_mel.whole(wave), true[0])


def test_segments_are_parts_of_whole_mels(wave_mel, waves):
    starts = [0, 11, 70]  # at the start, within, and to the last frame
    parts = wave_mel.segments(waves, starts, 11)
    assert parts.shape == (3, 11, N_MELS)
    for part, wave, start in zip(parts, waves, starts):
        whole = wave_mel.whole(wave)[start : start + 11]
        torch.testing.assert_close(part, whole, atol=1e-4, rtol=0)


def test_a_short_wave_is_followed_by_silence(wave_mel):
    mel = wave_mel.whole(torch.full((100,), 0.1))
    assert mel.shape[1] == N_MELS and mel.isfinite().all()
    assert mel[0].mean() > mel[-1].mean()


@pytest.mark.parametrize(
    "option, value", [("center", False), ("log_base", None), ("htk", True)]
)
def test_another_kind_of_mel_is_refused(option, value):
    with pytest.raises(InputError, match=f"{option}: {value} is not what vocoders"):
        WaveMel(**MEL_CONF, **{option: value})
