"""Speech tokenizer: shapes, masks, losses, any rate in, batches as alone."""

import numpy as np
import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ
from espnet_fsqdiff.tokenizer import SpeechTokenizer, SpeechTokenizerModel
from espnet_fsqdiff.tokenizer.convnext import ConvNeXtDecoder, ConvNeXtEncoder

FS = 16000


def make_model(mel_weight=1.0, ctc_weight=0.5, symbols=6, quantizer=None):
    from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

    torch.manual_seed(0)
    feats = LogMelFbank(fs=FS, n_fft=512, hop_length=160, n_mels=20, fmin=0, fmax=8000)
    size = dict(num_blocks=1, hidden_size=16)
    return SpeechTokenizerModel(
        feats,
        ConvNeXtEncoder(80, output_size=16, num_blocks=1),
        quantizer or FSQ([3, 3, 3]),
        ConvNeXtDecoder(3, 80, **size) if mel_weight else None,
        ConvNeXtDecoder(3, symbols + 1, **size) if ctc_weight else None,
        frames_per_token=4,
        mel_weight=mel_weight,
        ctc_weight=ctc_weight,
    ).eval()


def tone(seconds, fs=FS, frequency=200.0, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * fs)) / fs
    wav = 0.3 * np.sin(2 * np.pi * frequency * time * (1 + time / 10))
    return (wav + 0.01 * rng.standard_normal(time.size)).astype(np.float32)


def test_rate_and_shapes():
    tokenizer = SpeechTokenizer(make_model())
    assert tokenizer.rate_hz == 25 and tokenizer.num_codes == 27
    tokens = tokenizer.encode(tone(2.0), FS)
    assert tokens.dtype == torch.int64 and tokens.shape == (50,)
    mel = tokenizer.decode_mel(tokens)
    assert mel.shape == (200, 20)
    wav = tokenizer.decode(tokens)
    assert abs(len(wav) / FS - 2.0) < 0.02 and wav.dtype == torch.float32
    assert torch.equal(wav, tokenizer.decode(tokens))


def test_a_batch_is_as_each_alone():
    tokenizer = SpeechTokenizer(make_model())
    wavs = [tone(1.0), tone(0.33, seed=1), tone(1.7, frequency=90, seed=2)]
    tokens, log_probs = tokenizer.encode_batch(wavs, FS, return_ctc=True)
    for wav, t, p in zip(wavs, tokens, log_probs):
        (alone,), (alone_p,) = tokenizer.encode_batch([wav], FS, return_ctc=True)
        assert torch.equal(t, alone)
        torch.testing.assert_close(p, alone_p, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(p.exp().sum(-1), torch.ones(len(t)))


def test_decoded_bands_get_the_spread_of_real_ones():
    """A decoder of half the contrast and another mean: `decode` puts both right."""
    model = make_model(ctc_weight=0)
    tokens, lengths = torch.randint(27, (1, 400)), torch.tensor([400])
    torch.manual_seed(1)
    made = torch.randn(27, 80) * 0.8 + 0.3
    index = model.quantizer.codes_to_indices
    model.decoder.forward = lambda codes, lengths: made[index(codes)]
    plain = model.decode(tokens, lengths)[0]
    model.train()
    for _ in range(600):
        model._follow(plain)
    model.eval()
    decoded = model.decode(tokens, lengths)[0]
    assert decoded.mean(0).abs().max() < 0.02
    torch.testing.assert_close(decoded.std(0), torch.ones(20), atol=0.02, rtol=0)
    model.decoded_square.mul_(0.0).add_(model.decoded_mean.square())
    assert model.contrast().max() == pytest.approx(1.5)
    model.match_variance = 0.5
    assert model.contrast().max() == pytest.approx(1.25)
    model.match_variance = 0.0
    torch.testing.assert_close(model.decode(tokens, lengths)[0], plain)


def test_training_follows_what_is_decoded():
    model, wav = make_model(ctc_weight=0), torch.from_numpy(tone(1.0))[None]
    before = model.decoded_mean.clone()
    model(wav, torch.tensor([wav.size(1)]))
    assert torch.equal(model.decoded_mean, before)
    model.train()(wav, torch.tensor([wav.size(1)]))
    assert not torch.equal(model.decoded_mean, before)


@pytest.mark.parametrize("fs", [8000, 22050, 44100])
def test_any_rate_in(fs):
    tokenizer = SpeechTokenizer(make_model())
    assert len(tokenizer.encode(tone(1.0, fs), fs)) == 25


def test_a_very_short_wave_is_one_token():
    assert len(SpeechTokenizer(make_model()).encode(tone(0.01), FS)) >= 1


@pytest.mark.parametrize(
    "wav",
    [np.zeros(FS), np.full(FS, np.nan), np.zeros(0), np.ones((FS, 2))],
    ids=["silent", "nan", "empty", "stereo"],
)
def test_broken_audio_is_refused_by_name(wav):
    with pytest.raises(InputError, match="^spk1_a: "):
        SpeechTokenizer(make_model()).encode_batch([wav], FS, ["spk1_a"])


def test_a_token_outside_the_codebook_is_refused():
    with pytest.raises(InputError, match="token 27 is outside"):
        SpeechTokenizer(make_model()).decode([0, 27])


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 0.5)])
def test_either_loss_may_be_left_out(weights):
    model = make_model(*weights)
    wav = torch.from_numpy(tone(1.0))[None]
    text, lengths = torch.tensor([[1, 2, 5]]), torch.tensor([3])
    loss, stats, _ = model.train()(wav, torch.tensor([FS]), text, lengths)
    expected = {"mel_loss"} if weights[0] else set()
    expected |= {"ctc_loss"} if weights[1] else set()
    assert set(stats) == expected
    total = sum(w * stats[k] for w, k in zip(weights, ("mel_loss", "ctc_loss")) if w)
    torch.testing.assert_close(loss, total)
    loss.backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for p in model.parameters()
    )
    missing = "mel decoder" if not weights[0] else "recognition head"
    if 0.0 in weights:
        with pytest.raises(InputError, match=missing):
            lengths = torch.tensor([2])
            if not weights[0]:
                model.decode(torch.zeros(1, 2, dtype=torch.long), lengths)
            else:
                model.ctc_log_probs(torch.zeros(1, 2, 3), lengths)


def test_both_losses_may_not_be_left_out():
    with pytest.raises(InputError, match="both 0"):
        make_model(0.0, 0.0)


def test_decoded_mel_is_on_the_scale_of_the_speech():
    model = make_model()
    model.set_mel_statistics(torch.full((20,), -3.0), torch.full((20,), 0.5))
    tokens = torch.zeros(1, 3, dtype=torch.long)
    scaled = model.decode(tokens, torch.tensor([3]))
    model.set_mel_statistics(torch.zeros(20), torch.ones(20))
    plain = model.decode(tokens, torch.tensor([3]))
    torch.testing.assert_close(scaled, plain * 0.5 - 3)
    with pytest.raises(InputError, match="statistics"):
        model.set_mel_statistics(torch.zeros(20), torch.zeros(20))


def test_training_overfits_one_utterance():
    """The gradient reaches the encoder through the rounding."""
    model = make_model(1.0, 0.0).train()
    wav = torch.from_numpy(tone(1.0))[None]
    mel, _ = model.mel(wav, torch.tensor([FS]))
    model.set_mel_statistics(mel.view(-1, 20).mean(0), mel.view(-1, 20).std(0))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss, _, _ = model(wav, torch.tensor([FS]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_a_quantizer_that_learns_sees_real_frames_alone():
    from espnet_fsqdiff.rvq import ResidualVQ

    mel, lengths = torch.randn(2, 30, 80), torch.tensor([30, 20])
    found = []
    for padding in (0, 15):
        torch.manual_seed(0)
        model = make_model(quantizer=ResidualVQ(dim=3, book_size=3)).train()
        padded = torch.cat([mel, torch.full((2, padding, 80), 9.0)], 1)
        output = model.encode_mel(padded, lengths)
        assert (output.tokens[1, 20:] == 0).all() and (output.codes[1, 20:] == 0).all()
        found.append((output.tokens[:, :30], model.quantizer.state_dict()))
    (tokens, state), (others, other_state) = found
    assert torch.equal(tokens, others)
    for key, value in state.items():
        torch.testing.assert_close(value, other_state[key], msg=key)
    sizes = state["vq.layers.0._codebook.cluster_size"]
    assert sizes.sum().item() == pytest.approx(50)


def test_the_penalty_of_the_quantizer_is_in_the_loss():
    from espnet_fsqdiff.rvq import ResidualVQ

    quantizer = ResidualVQ(dim=3, book_size=3, commitment_weight=0.5)
    model = make_model(ctc_weight=0, quantizer=quantizer).train()
    waves = torch.stack([torch.from_numpy(tone(1.0, seed=i)) for i in range(2)])
    loss, stats, _ = model(waves, torch.tensor([FS, FS // 2]))
    assert set(stats) == {"mel_loss", "commitment_loss"}
    expected = stats["mel_loss"] + 0.5 * stats["commitment_loss"]
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert model.projection[1].weight.grad.abs().max() > 0
