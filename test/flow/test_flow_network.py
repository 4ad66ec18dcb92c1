"""What the velocity depends on, and what it does not."""

import pytest
import torch
from torch.nn.functional import pad

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow import Condition

N_MELS, SPEAKER = 5, 3


def inputs(size=2, tokens=6):
    torch.manual_seed(1)
    frames = 2 * tokens
    return dict(
        x=torch.randn(size, frames, N_MELS),
        t=torch.rand(size),
        tokens=torch.randint(27, (size, tokens)),
        spk_embed=torch.randn(size, SPEAKER),
        prompt=pad(torch.randn(size, 3, N_MELS), (0, 0, 0, frames - 3)),
    )


def call(network, x, t, tokens, spk_embed, prompt, lengths=None, drop=None):
    if lengths is None:
        lengths = torch.full((len(x),), tokens.size(1))
    condition = network.condition(tokens, lengths, spk_embed, prompt, drop)
    return network(x, t, condition)


@torch.no_grad()
def test_a_padded_utterance_gets_what_it_gets_alone(network):
    long = inputs(tokens=6)
    short = {k: v[:1] for k, v in inputs(tokens=4).items()}
    alone = call(network, **short)
    assert alone.shape == (1, 8, N_MELS) and alone.std() > 0.01
    # Anything may stand in its padding.
    batch = {k: v.clone() for k, v in long.items()}
    for name, n in (("x", 8), ("prompt", 8), ("tokens", 4)):
        batch[name][0, :n] = short[name][0]
    for name in ("t", "spk_embed"):
        batch[name][0] = short[name][0]
    together = call(network, **batch, lengths=torch.tensor([4, 6]))
    torch.testing.assert_close(together[:1, :8], alone, atol=1e-5, rtol=1e-4)
    assert (together[0, 8:] == 0).all()
    other = call(network, **{k: v[1:] for k, v in long.items()})
    torch.testing.assert_close(together[1:], other, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", ["x", "t", "tokens", "spk_embed", "prompt"])
def test_every_input_matters(network, name):
    before = inputs()
    changed = dict(before, **{name: before[name].roll(1, 0)})
    assert not torch.allclose(call(network, **before), call(network, **changed))


@torch.no_grad()
@pytest.mark.parametrize("name", ["tokens", "spk_embed", "prompt"])
def test_what_is_withheld_does_not_matter(network, name):
    before = inputs()
    changed = dict(before, **{name: before[name].roll(1, 0)})
    drop = torch.tensor([True, False])
    first, second = (call(network, **x, drop=drop) for x in (before, changed))
    torch.testing.assert_close(first[0], second[0])
    assert not torch.allclose(first[1], second[1])
    shown = call(network, **before)
    torch.testing.assert_close(first[1], shown[1])
    assert not torch.allclose(first[0], shown[0])


@torch.no_grad()
def test_frames_know_their_place_in_the_token(plain):
    vectors = plain.condition(torch.tensor([[4, 4, 9]]), torch.tensor([3])).vectors
    assert vectors.shape == (1, 6, 8)
    step = vectors[0, 1::2] - vectors[0, 0::2]
    torch.testing.assert_close(step, step[:1].expand_as(step))
    assert step.abs().max() > 0.01


@torch.no_grad()
def test_speakers_are_directions(network):
    example = inputs()
    louder = dict(example, spk_embed=7 * example["spk_embed"])
    torch.testing.assert_close(call(network, **example), call(network, **louder))


@pytest.mark.parametrize("drop", [False, True])
def test_every_parameter_has_a_gradient(network, drop):
    """Also where all are dropped: gradients of processes are averaged."""
    example = inputs()
    call(network, **example, drop=torch.tensor([drop, drop])).square().sum().backward()
    missing = [k for k, p in network.named_parameters() if p.grad is None]
    assert missing == []
    used = network.nothing if drop else network.token_encoder.place
    assert used.grad.abs().max() > 0


def test_the_velocity_is_zero_at_first(network):
    from espnet_fsqdiff.flow import VelocityNetwork

    fresh = VelocityNetwork(network.token_encoder, network.backbone, N_MELS, SPEAKER)
    assert (call(fresh, **inputs()) == 0).all()


def test_standardised_and_back(plain):
    mel = torch.randn(2, 3, N_MELS)
    x = plain.standardise(mel)
    torch.testing.assert_close(x, (mel - torch.linspace(-2, 0, N_MELS)) / 2)
    torch.testing.assert_close(plain.restore(x), mel)
    assert {"mel_mean", "mel_std"} <= set(plain.state_dict())


@pytest.mark.parametrize(
    "mean, std, message",
    [
        (torch.zeros(4), torch.ones(4), "of 4 bins, the model has 5"),
        (torch.zeros(5), torch.zeros(5), "have no spread"),
        (torch.full((5,), torch.nan), torch.ones(5), "not finite"),
    ],
)
def test_useless_statistics_are_refused(plain, mean, std, message):
    with pytest.raises(InputError, match=message):
        plain.set_mel_statistics(mean, std)


def test_too_many_frames_are_refused(plain):
    plain.backbone.max_frames = 4
    x = torch.zeros(1, 5, N_MELS)
    mask = torch.ones(1, 5, dtype=torch.bool)
    with pytest.raises(InputError, match="5 frames are more than the model's 4"):
        plain(x, torch.zeros(1), Condition(torch.zeros(1, 5, 8), x, mask))
