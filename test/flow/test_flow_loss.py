"""The path, the loss on it, and what is drawn."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow import FlowMatchingLoss
from espnet_fsqdiff.flow.path import point, velocity

N_MELS = 5


def test_the_path_is_straight_from_noise_to_data():
    noise, data = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    zero, one = torch.zeros(2, 1, 1), torch.ones(2, 1, 1)
    torch.testing.assert_close(point(noise, data, zero, 0.1), noise)
    torch.testing.assert_close(point(noise, data, one, 0.1), data + 0.1 * noise)
    moved = noise + 0.3 * velocity(noise, data, 0.1)
    torch.testing.assert_close(point(noise, data, 0.3 * one, 0.1), moved)


class Oracle:
    """A network that is told the velocity, and writes down what it is called with."""

    frames_per_token = 2

    def __init__(self, answer):
        self.answer = answer

    def condition(self, tokens, lengths, spk_embed, prompt, drop):
        self.prompt, self.drop = prompt, drop
        return None

    def __call__(self, x, t, condition):
        self.x = x
        return self.answer


def example(lengths=(4, 3)):
    torch.manual_seed(0)
    lengths = torch.tensor(lengths)
    frames = 2 * int(lengths.max())
    mel = torch.randn(len(lengths), frames, N_MELS)
    tokens = torch.zeros(len(lengths), frames // 2, dtype=torch.int64)
    return mel, tokens, lengths


def test_the_loss_is_the_squared_error_over_real_frames_not_given():
    mel, tokens, lengths = example()
    loss = FlowMatchingLoss(sigma_min=0.1, prompt_prob=1.0, prompt_fraction=(0.3, 0.5))
    draw = loss.draw(2 * lengths, 8, N_MELS)
    draw = draw._replace(drop=torch.tensor([False, True]))
    assert (draw.prompt_lengths >= 1).all()
    u = mel - 0.9 * draw.noise
    oracle = Oracle(u)
    found = loss(oracle, mel, tokens, lengths, None, draw)
    assert torch.equal(found, torch.zeros(2))
    t = draw.t.view(-1, 1, 1)
    torch.testing.assert_close(oracle.x, (1 - 0.9 * t) * draw.noise + t * mel)
    given = int(draw.prompt_lengths[0])
    assert torch.equal(oracle.prompt[0, :given], mel[0, :given])
    assert (oracle.prompt[0, given:] == 0).all()
    assert torch.equal(oracle.drop, draw.drop)

    # Errors in the prompt and in the padding do not count; the prompt of an
    # utterance that was not shown it does.
    wrong = u.clone()
    wrong[0, :given] += 100
    wrong[1, 6:] += 100
    wrong[0, given] += 1
    wrong[1, 0] += 2
    found = loss(Oracle(wrong), mel, tokens, lengths, None, draw)
    torch.testing.assert_close(found, torch.tensor([1 / (8 - given), 4 / 6]))


def test_training_draws():
    loss = FlowMatchingLoss(
        time_warp="uniform",
        condition_dropout=0.2,
        prompt_prob=0.5,
        prompt_fraction=(0.1, 0.3),
    )
    torch.manual_seed(0)
    draw = loss.draw(torch.full((2000,), 100), 1, 1)
    # One in each of 2000 equal intervals.
    assert torch.equal((draw.t * 2000).sort()[0].diff().round(), torch.ones(1999))
    assert abs(draw.drop.float().mean() - 0.2) < 0.04
    prompted = draw.prompt_lengths > 0
    assert abs(prompted.float().mean() - 0.5) < 0.05
    assert draw.prompt_lengths[prompted].min() >= 10 and draw.prompt_lengths.max() <= 30
    early = FlowMatchingLoss(time_warp="cosine").draw(torch.full((2000,), 4), 1, 1)
    # P(t < x) = 2/pi arccos(1 - x)
    assert abs((early.t < 0.5).float().mean() - 2 / 3) < 0.01
    assert (early.prompt_lengths == 0).all()


def test_validation_draws_are_an_utterance_s_own():
    loss = FlowMatchingLoss(time_warp="uniform", prompt_prob=0.5)
    names = ["a", "b", "c"]
    lengths = torch.tensor([10, 6, 8])
    parts = [loss.fixed_draw(names, lengths, 10, N_MELS, i, 4) for i in range(4)]
    times = torch.stack([draw.t for draw in parts])
    assert torch.equal((times * 4).floor(), torch.arange(4.0).unsqueeze(1).expand(4, 3))
    assert len(times[0].unique()) == 3
    assert not torch.equal(parts[0].noise, parts[1].noise)
    assert not any(draw.drop.any() for draw in parts)
    alone = loss.fixed_draw(["b"], torch.tensor([6]), 6, N_MELS, 2, 4)
    assert torch.equal(alone.t, parts[2].t[1:2])
    assert torch.equal(alone.noise[0], parts[2].noise[1, :6])
    assert torch.equal(alone.prompt_lengths, parts[2].prompt_lengths[1:2])


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(sigma_min=-0.1), "sigma_min is -0.1"),
        (dict(condition_dropout=2.0), "condition_dropout is 2.0"),
        (dict(prompt_prob=1.5), "prompt_prob is 1.5"),
        (dict(prompt_fraction=(0.5, 0.2)), "prompt_fraction is 0.5 to 0.2"),
        (dict(prompt_fraction=(0.5, 1.0)), "prompt_fraction is 0.5 to 1.0"),
        (dict(time_warp="linear"), "time_warp 'linear' is unknown"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(InputError, match=f"^loss_conf: {message}"):
        FlowMatchingLoss(**options)
