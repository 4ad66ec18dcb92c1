"""Mel frames and the tokens that they belong to."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow.pairing import (
    check_pair,
    most_difference,
    num_mel_frames,
    pair,
    reflected,
)


@pytest.fixture(scope="module")
def tokens_of():
    """Tokens that the tokenizer counts in samples at 16 kHz, with 100 Hz mels."""
    from espnet_fsqdiff.tokenizer.model import SpeechTokenizerModel

    class Counts:
        frames_per_token = 4

    def count(num_samples):
        frames = 1 + num_samples // 160
        feats = torch.zeros(1, frames, 1)
        lengths = torch.tensor([frames])
        return int(SpeechTokenizerModel.stack(Counts(), feats, lengths)[1])

    return count


@given(seconds=st.floats(0.05, 30), fs=st.sampled_from([16000, 22050, 24000, 44100]))
def test_the_tokenizer_s_own_rounding_is_allowed(tokens_of, seconds, fs):
    """At any rate of the audio whose mels are at 50 or 100 Hz."""
    num_samples = int(seconds * fs)
    resampled = -(-num_samples * 16000 // fs)  # as scipy's resample_poly counts
    num_tokens = tokens_of(resampled)
    for frames_per_token in (2, 4):
        hop = fs // (25 * frames_per_token)
        if hop * 25 * frames_per_token == fs:
            check_pair("utt", num_samples, num_tokens, fs, hop, frames_per_token)


def test_at_24_khz_frames_and_tokens_differ_by_one_at_most(tokens_of):
    differences = {
        2 * tokens_of(-(-n * 2 // 3)) - num_mel_frames(n, 480)
        for n in range(24000, 24000 + 2 * 960, 7)
    }
    assert differences == {-1, 0, 1}


def test_other_audio_is_refused():
    check_pair("utt", 24000, 25, 24000, 480, 2)
    assert most_difference(2) == 2
    for num_tokens in (23, 27):
        with pytest.raises(InputError, match=f"^utt: its {num_tokens} tokens are"):
            check_pair("utt", 24000, num_tokens, 24000, 480, 2)
    with pytest.raises(InputError, match="fit at about 16000 Hz"):
        check_pair("utt", 16000, 25, 24000, 480, 2)


def test_mels_are_cut_or_go_on_with_their_last_frame():
    feats = torch.arange(1.0, 15.0).view(2, 7, 1)
    found = pair(feats, torch.tensor([7, 5]), torch.tensor([3, 3]), 2)
    expected = [[1, 2, 3, 4, 5, 6], [8, 9, 10, 11, 12, 12]]
    assert found.squeeze(-1).tolist() == expected
    found = pair(feats, torch.tensor([7, 5]), torch.tensor([4, 2]), 2)
    expected = [[1, 2, 3, 4, 5, 6, 7, 7], [8, 9, 10, 11, 0, 0, 0, 0]]
    assert found.squeeze(-1).tolist() == expected


def test_every_wave_is_reflected_at_its_own_end():
    torch.manual_seed(0)
    waves = [torch.randn(50), torch.randn(41), torch.randn(17)]
    lengths = torch.tensor([len(wave) for wave in waves])
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True, padding_value=9.0)
    spectra = stft(reflected(batch, lengths, 8))
    for wave, spectrum in zip(waves, spectra):
        alone = stft(wave[None])[0]
        torch.testing.assert_close(spectrum[:, : alone.size(1)], alone)


def stft(wave):
    window = torch.hann_window(16)
    return torch.stft(wave, 16, 5, window=window, center=True, return_complex=True)
