"""Schedules, sampler, loss, average and generation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet_fsqdiff import kernel_cache
from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.diffusion import (
    EMA,
    SCHEDULES,
    CDCDLoss,
    CDCDNetwork,
    LinearSchedule,
    Sampling,
    ddim,
    generate,
    uniform_times,
)
from espnet_fsqdiff.diffusion.loss import Draw
from espnet_fsqdiff.diffusion.parts import frames_of_parts, parts_of
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import FactorizedHead, JointHead, PairwiseHead
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.nets.text_encoder import TextEncoder


def make_network(head=JointHead, self_conditioning=False, **text_options):
    torch.manual_seed(0)
    codebook = FSQCodebook([3, 3])
    network = CDCDNetwork(
        TextEncoder(5, dim=8, num_layers=1, **text_options),
        DiT(2, 8, dim=32, depth=1, num_heads=2, self_conditioning=self_conditioning),
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
        torch.tensor([True, False]),
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
        draw._replace(
            t=draw.t[1:],
            noise=noise[1:, :2],
            prompt_lengths=draw.prompt_lengths[1:],
            drop=draw.drop[1:],
            self_condition=draw.self_condition[1:],
        ),
    )
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("self_conditioning", [False, True])
@pytest.mark.parametrize("head", [JointHead, FactorizedHead, PairwiseHead])
def test_loss_in_chunks_is_the_loss(head, self_conditioning):
    network, codebook = make_network(head, self_conditioning)
    tokens = torch.randint(9, (3, 7), generator=torch.Generator().manual_seed(0))
    lengths, text = torch.tensor([7, 5, 2]), torch.tensor([[1, 2], [3, 0], [4, 4]])
    share = float(self_conditioning)
    found = []
    for max_logits in (10**6, 9 * 4):
        loss = CDCDLoss(
            LinearSchedule(), self_conditioning=share, max_logits=max_logits
        )
        draw = loss.fixed_draw(["a", "b", "c"], lengths, 7, 2)
        value, stats = loss(
            network,
            codebook,
            tokens,
            lengths,
            text,
            torch.tensor([2, 1, 2]),
            None,
            draw,
        )
        network.zero_grad()
        value.mean().backward()
        grads = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found.append((value.detach(), stats["accuracy"], grads))
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


def test_self_conditioning_sees_the_first_estimate_without_gradient():
    network, codebook = make_network(self_conditioning=True)
    tokens, lengths = torch.tensor([[1, 2, 3, 4]]), torch.tensor([4])
    seen = []
    features = network.backbone.forward

    def spy(*args):
        seen.append(args[5] if len(args) > 5 else None)
        return features(*args)

    network.backbone.forward = spy
    loss = CDCDLoss(LinearSchedule(), self_conditioning=1.0, prompt_prob=1.0)
    draw = loss.fixed_draw(["u"], lengths, 4, 2)._replace(
        prompt_lengths=torch.tensor([1])
    )
    loss(
        network,
        codebook,
        tokens,
        lengths,
        torch.tensor([[1]]),
        torch.tensor([1]),
        None,
        draw,
    )
    first, second = seen
    assert first is None and not second.requires_grad
    torch.testing.assert_close(second[0, 0], codebook.embed(tokens)[0, 0])
    assert second[0, 1:].abs().max() > 0


def self_conditioned_loss(network, codebook, chosen):
    """Losses of two utterances with prompts of two frames; some see an estimate."""
    tokens, lengths = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]), torch.tensor([4, 4])
    loss = CDCDLoss(LinearSchedule(), self_conditioning=1.0, prompt_prob=1.0)
    draw = loss.fixed_draw(["u", "v"], lengths, 4, 2)._replace(
        prompt_lengths=torch.tensor([2, 2]), self_condition=torch.tensor(chosen)
    )
    text = torch.tensor([[1], [2]])
    values, _ = loss(
        network, codebook, tokens, lengths, text, torch.tensor([1, 1]), None, draw
    )
    return values


def test_what_others_of_the_batch_see_is_their_own():
    network, codebook = make_network(self_conditioning=True)
    network.eval()
    alone = self_conditioned_loss(network, codebook, [False, False])
    beside = self_conditioned_loss(network, codebook, [False, True])
    torch.testing.assert_close(beside[0], alone[0])
    assert not torch.isclose(beside[1], alone[1])


@pytest.mark.parametrize("head", [JointHead, FactorizedHead, PairwiseHead])
def test_self_conditioning_in_mixed_precision(head):
    network, codebook = make_network(head, self_conditioning=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network.head(torch.randn(1, 4, 32))
        assert network.head.expectation(logits).dtype == torch.float32
        found = self_conditioned_loss(network, codebook, [True, False])
    whole = self_conditioned_loss(network, codebook, [True, False])
    torch.testing.assert_close(found, whole, rtol=0.05, atol=0.05)


def test_warped_times_are_used():
    torch.manual_seed(0)
    loss = CDCDLoss(LinearSchedule(), time_sampling="information")
    lengths = torch.full((100,), 10)
    assert loss.draw(lengths, 10, 2, warp=lambda u: u / 2).t.max() < 0.5
    assert loss.fixed_draw(["a"], lengths[:1], 10, 2, time=0.3).t.item() == (
        pytest.approx(0.3)
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(text_dropout=1.5), "text_dropout is 1.5"),
        (dict(time_sampling="log"), "time_sampling 'log' is unknown"),
        (dict(prompt_fraction=(0.5, 1.5)), "prompt_fraction is 0.5 to 1.5"),
        (dict(prompt_fraction=(-2, -1)), "prompt_fraction is -2 to -1"),
        (dict(prompt_fraction=(0.5, 0.2)), "prompt_fraction is 0.5 to 0.2"),
    ],
)
def test_loss_options_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        CDCDLoss(LinearSchedule(), **options)


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
        Draw(
            torch.tensor([0.5]),
            torch.randn(1, 4, 2),
            lengths // 2,
            drop=lengths > 0,
            self_condition=lengths < 0,
        ),
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


SAMPLER_OPTIONS = {
    "ddim": dict(sampler="ddim"),
    "interval": dict(guidance_interval=(0.3, 0.8)),
    "dpm_solver_2m": dict(sampler="dpm_solver_2m"),
    "churn": dict(sampler="churn", sampler_conf={"eta": 0.7}),
    "hard_rounding": dict(sampler="hard_rounding", sampler_conf={"below": 0.6}),
}


@pytest.mark.parametrize("guidance_scale", [0.0, 0.5])
@pytest.mark.parametrize("laid", [False, True])
@pytest.mark.parametrize("sampler", sorted(SAMPLER_OPTIONS))
def test_a_batch_samples_what_each_samples_alone(guidance_scale, laid, sampler):
    network, codebook = make_network(
        positions=not laid, self_conditioning=sampler == "churn"
    )
    text = [torch.tensor([1, 2, 3]), torch.tensor([4, 0])]
    frames = [9, 6]
    durations = [torch.tensor([2, 3, 4]), torch.tensor([1, 5])] if laid else None
    prompts = [torch.tensor([8, 7]), None]
    sampling = Sampling(
        num_steps=4, guidance_scale=guidance_scale, **SAMPLER_OPTIONS[sampler]
    )
    both = generate(
        network,
        codebook,
        LinearSchedule(),
        text,
        frames,
        durations,
        prompts,
        seeds=[5, 6],
        sampling=sampling,
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
            sampling=sampling,
        )
        assert torch.equal(alone[0], both[i])


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(1, 120))
def test_parts_of_a_batch_hold_every_utterance_once_and_few_frames(lengths, limit):
    parts = parts_of(lengths, limit)
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    for part in parts:
        padded = len(part) * max(lengths[i] for i in part)
        assert padded <= limit or len(part) == 1


def test_parts_keep_the_workers_busy():
    assert frames_of_parts(8 * [300], workers=1) == 1000
    assert frames_of_parts(8 * [300], workers=2) == 600
    assert frames_of_parts(3 * [9], workers=2) == 100


@pytest.mark.parametrize(
    "max_frames, workers, largest", [(1, 1, 9), (12, 2, 12), (20, 1, 18), (1, 3, 9)]
)
def test_the_parts_of_a_batch_sample_what_the_whole_samples(
    max_frames, workers, largest, monkeypatch
):
    monkeypatch.setattr(kernel_cache, "LENGTH_STEP", 1)
    network, codebook = make_network()
    text = [torch.tensor([1, 2, 3]), torch.tensor([4, 0]), torch.tensor([2, 2])]
    sizes = []
    features = network.features

    def watched(x, *rest):
        sizes.append(x.size(0) * x.size(1))
        return features(x, *rest)

    def run(limit, workers=None):
        network.features = watched
        return generate(
            network,
            codebook,
            LinearSchedule(),
            text,
            [5, 9, 6],
            prompts=[torch.tensor([8, 7]), None, None],
            seeds=[5, 6, 7],
            sampling=Sampling(
                num_steps=3, guidance_scale=0, max_frames=limit, workers=workers
            ),
        )

    whole = run(None)
    assert set(sizes) == {27}
    sizes.clear()
    parts = run(max_frames, workers)
    assert max(sizes) == largest
    assert all(torch.equal(a, b) for a, b in zip(whole, parts))


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
    sampling = Sampling(guidance_scale=w, temperature=0.8, guidance_interval=(0.5, 1))
    denoiser = GuidedDenoiser(network, text, none, mask, prompt, prompt_mask, sampling)
    torch.testing.assert_close(denoiser(x, t), expected)
    outside = torch.tensor(0.4)
    plain = network(x, outside.expand(1), prompt, text, mask)
    plain = network.head.expectation(plain, 0.8)
    torch.testing.assert_close(denoiser(x, outside), plain)


def test_self_conditioning_is_fed_the_last_estimate():
    from espnet_fsqdiff.diffusion import GuidedDenoiser

    network, _ = make_network(self_conditioning=True)
    mask = length_mask(torch.tensor([4]))
    text, x, t = torch.randn(1, 4, 8), torch.randn(1, 4, 2), torch.tensor(0.7)
    prompt = torch.zeros(1, 4, 2)
    prompt_mask = torch.zeros(1, 4, dtype=torch.bool)
    sampling = Sampling(guidance_scale=0.0)
    denoiser = GuidedDenoiser(network, text, None, mask, prompt, prompt_mask, sampling)
    first, second = denoiser(x, t), denoiser(x, t)
    logits = network(x, t.expand(1), prompt, text, mask, first)
    torch.testing.assert_close(second, network.head.expectation(logits))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(sampler="euler"), "sampler 'euler' is unknown"),
        (dict(sampler_conf={"eta": 1}), "ddim has no option eta; it has none"),
        (
            dict(sampler="churn", sampler_conf={"normal": torch.randn_like}),
            "churn has no option normal; it has eta, noise_std$",
        ),
        (
            dict(sampler="hard_rounding", sampler_conf={"nearest": None}),
            "hard_rounding has no option nearest; it has below$",
        ),
        (
            dict(sampler="churn", sampler_conf={"eta": "x"}),
            "sampler_conf: eta is 'x'; give a number",
        ),
        (
            dict(sampler="churn", sampler_conf={"eta": 1.5}),
            "sampler_conf: eta is 1.5; give 0 to 1",
        ),
        (
            dict(sampler="churn", sampler_conf={"noise_std": -1}),
            "sampler_conf: noise_std is -1; give at least 0",
        ),
        (
            dict(sampler="hard_rounding", sampler_conf={"below": -0.1}),
            "sampler_conf: below is -0.1; give 0 to 1",
        ),
        (dict(time_grid="log"), "time_grid 'log' is unknown"),
        (dict(precision="int8"), "precision 'int8' is unknown"),
        (dict(num_steps=0), "num_steps is 0"),
        (dict(temperature=0.0), "temperature is 0.0"),
        (dict(guidance_interval=(0.8, 0.2)), "guidance_interval"),
    ],
)
def test_sampling_options_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        Sampling(**options)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_changes_the_network_only(precision):
    network, codebook = make_network()
    text = [torch.tensor([1, 2, 3])]
    run = dict(text=text, num_frames=[9])
    full, half = (
        generate(network, codebook, LinearSchedule(), **run, sampling=sampling)
        for sampling in (Sampling(), Sampling(precision=precision))
    )
    assert (full[0] == half[0]).float().mean() > 0.5
    assert next(network.parameters()).dtype == torch.float32


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
    with pytest.raises(InputError, match="needs the model's own times"):
        generate(
            network,
            codebook,
            LinearSchedule(),
            text,
            [4],
            sampling=Sampling(time_grid="information"),
        )
    with pytest.raises(InputError, match="at least 1"):
        uniform_times(0)
