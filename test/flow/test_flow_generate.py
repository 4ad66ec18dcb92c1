"""Mels from tokens: batches, seeds, guidance, prompts."""

import dataclasses

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow import FlowSampling, GuidedVelocity, generate

N_MELS, SPEAKER = 5, 3
QUICK = FlowSampling(num_steps=2)


def example(sizes=(9, 4, 7)):
    torch.manual_seed(1)
    tokens = [torch.randint(27, (n,)) for n in sizes]
    prompts = [torch.randn(5, N_MELS), None, torch.randn(2, N_MELS)]
    spk_embed = [torch.randn(SPEAKER) for _ in sizes]
    return tokens, prompts, spk_embed, [11, 12, 13]


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
@pytest.mark.parametrize("threads, max_frames", [(1, None), (1, 10), (2, None)])
def test_each_gets_what_it_gets_alone(network, solver, threads, max_frames):
    inputs = example()
    sampling = dataclasses.replace(QUICK, solver=solver, max_frames=max_frames)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        together = generate(network, *inputs, sampling)
    finally:
        torch.set_num_threads(before)
    assert [len(mel) for mel in together] == [18, 8, 14]
    for i, mel in enumerate(together):
        assert mel.isfinite().all() and mel.std() > 0.1
        (alone,) = generate(network, *([x[i]] for x in inputs), QUICK_OF[solver])
        torch.testing.assert_close(mel, alone, atol=1e-4, rtol=1e-4)


QUICK_OF = {s: dataclasses.replace(QUICK, solver=s) for s in ("euler", "midpoint")}


def test_seeds_decide(plain):
    tokens = [torch.arange(4), torch.arange(4)]
    first, other = generate(plain, tokens, seeds=[3, 4], sampling=QUICK)
    assert not torch.allclose(first, other, atol=1e-2)
    (again,) = generate(plain, tokens[:1], seeds=[3], sampling=QUICK)
    torch.testing.assert_close(again, first, atol=1e-5, rtol=1e-5)
    by_default = generate(plain, tokens, sampling=QUICK)
    numbered = generate(plain, tokens, seeds=[0, 1], sampling=QUICK)
    assert all(torch.equal(a, b) for a, b in zip(by_default, numbered))


def test_temperature_scales_the_noise(plain):
    cold = dataclasses.replace(QUICK, temperature=0.0)
    first, other = generate(plain, [torch.arange(4)] * 2, seeds=[3, 4], sampling=cold)
    torch.testing.assert_close(first, other)


def test_a_lower_precision_is_near(plain):
    tokens = [torch.arange(4)]
    half = dataclasses.replace(QUICK, precision="bfloat16")
    (exact,), (near,) = (generate(plain, tokens, sampling=s) for s in (QUICK, half))
    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().max() < 0.05 * exact.std()


def test_prompts_are_kept_and_heard(network):
    tokens, prompts, spk_embed, seeds = example()
    found = generate(network, tokens, prompts, spk_embed, seeds, QUICK)
    torch.testing.assert_close(found[0][:5], prompts[0])
    torch.testing.assert_close(found[2][:2], prompts[2])
    without = generate(network, tokens, None, spk_embed, seeds, QUICK)
    assert not torch.allclose(found[0][5:], without[0][5:], atol=1e-3)
    torch.testing.assert_close(found[1], without[1], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("workers", [1, 2])
def test_guidance_leads_away_from_the_unconditional(plain, workers):
    tokens, lengths = torch.randint(27, (2, 4)), torch.tensor([4, 3])
    shown = plain.condition(tokens, lengths)
    withheld = plain.condition(tokens, lengths, drop=torch.ones(2, dtype=torch.bool))
    x, t = torch.randn(2, 8, N_MELS), torch.tensor(0.3)
    given = torch.zeros(2, 8, dtype=torch.bool)
    given[0, :2] = True
    known = torch.full_like(x, 7.0)
    sampling = FlowSampling(guidance_scale=0.4)
    guided = GuidedVelocity(plain, shown, withheld, given, known, sampling, workers)
    cond, uncond = (plain(x, t.expand(2), c) for c in (shown, withheld))
    expected = 1.4 * cond - 0.4 * uncond
    expected[0, :2] = 7.0
    torch.testing.assert_close(guided(x, t), expected, atol=1e-5, rtol=1e-5)


class Straight:
    """A network whose flow leads every frame to the number of its token."""

    mel_mean, mel_std = torch.full((N_MELS,), 3.0), torch.full((N_MELS,), 2.0)
    frames_per_token, n_mels, spk_embed_dim = 2, N_MELS, None
    max_frames = 64

    def standardise(self, mel):
        return (mel - self.mel_mean) / self.mel_std

    def restore(self, x):
        return x * self.mel_std + self.mel_mean

    def condition(self, tokens, lengths, spk_embed, prompt, drop=None):
        from espnet_fsqdiff.flow import Condition
        from espnet_fsqdiff.nets.masks import length_mask

        vectors = tokens.repeat_interleave(2, 1).unsqueeze(-1).float()
        return Condition(vectors, prompt, length_mask(2 * lengths, vectors.size(1)))

    def __call__(self, x, t, condition):
        return (condition.vectors - x) / (1 - t.view(-1, 1, 1))


def test_the_flow_arrives_and_is_given_back_its_scale():
    tokens = [torch.tensor([1, 5, 2]), torch.tensor([4])]
    mels = generate(Straight(), tokens, sampling=FlowSampling(num_steps=3))
    for row, mel in zip(tokens, mels):
        true = (2.0 * row + 3).repeat_interleave(2).unsqueeze(1).expand(-1, N_MELS)
        torch.testing.assert_close(mel, true, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(tokens=[torch.arange(3), torch.arange(0)]), "utterance 1: it has no tok"),
        (dict(tokens=[torch.tensor([27])] * 2), "token 27 is outside the codebook"),
        (dict(prompts=[None]), "prompts are 1 for 2 utterances"),
        (dict(seeds=[1]), "seeds are 1 for 2 utterances"),
        (dict(spk_embed=[torch.ones(3)]), "spk_embed are 1 for 2 utterances"),
        (dict(prompts=[None, torch.ones(2, 4)]), r"utterance 1: .* shape \(2, 4\)"),
        (dict(prompts=[torch.ones(6, 5), None]), "6 mel frames leaves none of 6"),
        (dict(spk_embed=None), "needs a speaker embedding of size 3"),
        (dict(spk_embed=[torch.ones(3), torch.ones(4)]), r"utterance 1: .*\(4,\)"),
    ],
)
def test_faults_are_named(network, changes, message):
    options = dict(tokens=[torch.arange(3)] * 2, spk_embed=[torch.ones(3)] * 2)
    with pytest.raises(InputError, match=message):
        generate(network, **{**options, **changes})


def test_speakers_that_are_not_wanted_are_refused(plain):
    with pytest.raises(InputError, match="takes no speaker embeddings"):
        generate(plain, [torch.arange(3)], spk_embed=[torch.ones(3)])


def test_a_cpu_meets_few_lengths(plain):
    seen = []
    plain.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    for n in range(1, 17):
        (mel,) = generate(plain, [torch.arange(n)], sampling=QUICK)
        assert len(mel) == 2 * n
    # Multiples of 8 tokens, each of two mel frames.
    assert {shape[1] for shape in seen} == {16, 32}
