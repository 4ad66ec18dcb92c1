"""Schedules, sampler, loss, average and generation."""

import pytest
import torch

from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.diffusion import (
    EMA,
    SCHEDULES,
    CDCDLoss,
    CDCDNetwork,
    LinearSchedule,
    ddim,
    generate,
    uniform_times,
)
from espnet_fsqdiff.diffusion.loss import Draw
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import FactorizedHead, JointHead
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.nets.text_encoder import TextEncoder


def make_network(head=JointHead, **text_options):
    torch.manual_seed(0)
    codebook = FSQCodebook([3, 3])
    network = CDCDNetwork(
        TextEncoder(5, dim=8, num_layers=1, **text_options),
        DiT(latent_dim=2, text_dim=8, dim=32, depth=1, num_heads=2),
        head(32, codebook),
    )
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.15)
    return network.eval(), codebook


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedules_keep_the_variance(name):
    schedule = SCHEDULES[name]()
    t = torch.linspace(0, 1, 11)
    total = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
    torch.testing.assert_close(total, torch.ones(11))
    assert schedule.sigma(t)[0] == 0 and schedule.alpha(t)[-1].abs() < 1e-6
    assert (schedule.snr(t[1:]).diff() < 0).all()


def test_ddim_of_a_known_answer_is_exact():
    """If x0_hat is right, every grid of steps ends at it."""
    target = torch.randn(2, 3, 4)
    seen = []
    x = ddim(
        lambda x, t: target,
        torch.randn(2, 3, 4),
        uniform_times(7),
        LinearSchedule(),
        callback=lambda step, t, x, x0: seen.append((step, t.item())),
    )
    torch.testing.assert_close(x, target)
    assert [s for s, _ in seen] == list(range(7)) and seen[0][1] == 1


def test_ddim_is_the_released_step_where_that_is_stable():
    schedule, x, x0 = LinearSchedule(), torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    times = torch.tensor([0.6, 0.2])
    t, s = times
    eps = (x - schedule.alpha(t) * x0) / schedule.sigma(t)
    expected = schedule.alpha(s) * x0 + schedule.sigma(s) * eps
    torch.testing.assert_close(ddim(lambda *_: x0, x, times, schedule), expected)


def test_ddim_matches_the_gaussian_flow():
    """Data N(0, v): the ODE's solution scales x by std(s) / std(t)."""
    schedule, v = LinearSchedule(), 0.3

    def variance(t):
        return schedule.alpha(t) ** 2 * v + schedule.sigma(t) ** 2

    def denoiser(x, t):
        return schedule.alpha(t) * v / variance(t) * x

    x = torch.ones(1, 1, 1)
    errors = []
    for steps in (80, 160, 320):
        y = ddim(denoiser, x, uniform_times(steps), schedule)
        errors.append(abs(y.item() - v**0.5))
    assert errors[2] < 0.015
    assert errors[0] / errors[1] > 1.7 and errors[1] / errors[2] > 1.7


@pytest.mark.parametrize("head", [JointHead, FactorizedHead])
def test_loss_is_mean_over_frames_then_utterances(head):
    network, codebook = make_network(head)
    loss = CDCDLoss(LinearSchedule())
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    lengths = torch.tensor([4, 2])
    text, text_lengths = torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])
    noise = torch.randn(2, 4, 2)
    draw = Draw(
        torch.tensor([0.3, 0.8]),
        noise,
        torch.tensor([1, 0]),
        torch.tensor([False, False]),
    )
    both, stats = loss(
        network, codebook, tokens, lengths, text, text_lengths, None, draw
    )
    assert both.shape == stats["accuracy"].shape == (2,)
    alone, _ = loss(
        network,
        codebook,
        tokens[1:, :2],
        lengths[1:],
        text[1:, :1],
        text_lengths[1:],
        None,
        Draw(draw.t[1:], noise[1:, :2], draw.prompt_lengths[1:], draw.drop[1:]),
    )
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


def test_training_draw_covers_times_and_respects_lengths():
    torch.manual_seed(0)
    loss = CDCDLoss(LinearSchedule(), text_dropout=0.5, prompt_prob=1.0)
    lengths = torch.randint(20, 100, (400,))
    draw = loss.draw(lengths, 100, 2)
    counts = torch.histc(draw.t, bins=10, min=0, max=1)
    assert (counts == 40).all()
    share = draw.prompt_lengths / lengths
    assert share.min() > 0.0 and share.max() <= 0.3
    assert 0.4 < draw.drop.float().mean() < 0.6


def test_validation_draw_belongs_to_the_utterance():
    loss = CDCDLoss(LinearSchedule(), prompt_prob=0.5)
    a = loss.fixed_draw(["a", "b"], torch.tensor([3, 5]), 5, 2)
    b = loss.fixed_draw(["b"], torch.tensor([5]), 6, 2)
    assert torch.equal(a.t[1:], b.t)
    assert torch.equal(a.noise[1], b.noise[0, :5])
    assert a.prompt_lengths[1] == b.prompt_lengths[0]
    assert not a.drop.any()


def test_every_parameter_is_touched_when_all_text_is_dropped():
    """DDP with unused_parameters false fails otherwise."""
    network, codebook = make_network(num_symbol_layers=1, place=True, positions=False)
    lengths = torch.tensor([4])
    losses, _ = CDCDLoss(LinearSchedule())(
        network.train(),
        codebook,
        torch.tensor([[1, 2, 3, 4]]),
        lengths,
        torch.tensor([[1, 2]]),
        torch.tensor([2]),
        torch.tensor([[1, 3]]),
        Draw(torch.tensor([0.5]), torch.randn(1, 4, 2), lengths // 2, lengths > 0),
    )
    losses.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_ema_follows_and_is_resumed():
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 2)
    ema = EMA(network, decay=0.9)
    start = ema.network.weight.clone()
    with torch.no_grad():
        network.weight.add_(1.0)
    ema.update(network)
    decay = 1 / 11
    torch.testing.assert_close(
        ema.network.weight, decay * start + (1 - decay) * network.weight.detach()
    )
    for _ in range(300):
        ema.update(network)
    torch.testing.assert_close(ema.network.weight, network.weight.detach())
    other = EMA(torch.nn.Linear(2, 2), decay=0.9)
    other.load_state_dict(ema.state_dict())
    assert other.num_updates == 301
    assert not any(p.requires_grad for p in ema.parameters())


@pytest.mark.parametrize("guidance_scale", [0.0, 0.5])
@pytest.mark.parametrize("laid", [False, True])
def test_a_batch_samples_what_each_samples_alone(guidance_scale, laid):
    network, codebook = make_network(positions=not laid)
    text = [torch.tensor([1, 2, 3]), torch.tensor([4, 0])]
    frames = [9, 6]
    durations = [torch.tensor([2, 3, 4]), torch.tensor([1, 5])] if laid else None
    prompts = [torch.tensor([8, 7]), None]
    options = dict(num_steps=4, guidance_scale=guidance_scale)
    both = generate(
        network,
        codebook,
        LinearSchedule(),
        text,
        frames,
        durations,
        prompts,
        seeds=[5, 6],
        **options,
    )
    assert [t.shape for t in both] == [(7,), (6,)]
    for i in range(2):
        alone = generate(
            network,
            codebook,
            LinearSchedule(),
            text[i : i + 1],
            frames[i : i + 1],
            durations and durations[i : i + 1],
            prompts[i : i + 1],
            seeds=[5 + i],
            **options,
        )
        assert torch.equal(alone[0], both[i])


def test_guidance_moves_away_from_no_text():
    from espnet_fsqdiff.diffusion import GuidedDenoiser

    network, _ = make_network()
    mask = length_mask(torch.tensor([4]))
    text, none = torch.randn(1, 4, 8), torch.zeros(1, 4, 8)
    x, t = torch.randn(1, 4, 2), torch.tensor(0.7)
    prompt, prompt_mask = torch.zeros(1, 4, 2), torch.zeros(1, 4, dtype=torch.bool)

    def logits(vectors):
        return network(x, t.expand(1), prompt, vectors, mask)

    w = 0.5
    expected = network.head.expectation((1 + w) * logits(text) - w * logits(none), 0.8)
    denoiser = GuidedDenoiser(network, text, none, mask, prompt, prompt_mask, w, 0.8)
    torch.testing.assert_close(denoiser(x, t), expected)


def test_impossible_requests_are_refused():
    network, codebook = make_network(positions=False)
    text = [torch.tensor([1, 2])]
    with pytest.raises(InputError, match="shorter prompt"):
        generate(
            network,
            codebook,
            LinearSchedule(),
            text,
            [3],
            prompts=[torch.zeros(3)],
        )
    with pytest.raises(InputError, match="make 5 frames, not 4"):
        generate(network, codebook, LinearSchedule(), text, [4], [torch.tensor([2, 3])])
    with pytest.raises(ValueError, match="at least 1"):
        uniform_times(0)
