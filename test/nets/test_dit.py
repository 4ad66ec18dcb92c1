"""Backbone and text encoder."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.dit import DiT, rotary_table, rotate
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.nets.text_encoder import TextEncoder, sinusoidal_positions


def randomise(module):
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return module.eval()


def test_rotation_depends_on_distance_only():
    table = rotary_table(6, 8)
    q, k = torch.randn(8), torch.randn(8)
    turned = [rotate(v.expand(1, 1, 6, 8), table)[0, 0] for v in (q, k)]
    products = turned[0] @ turned[1].T
    for shift in range(-5, 6):
        diagonal = products.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))


def test_a_padded_utterance_gets_what_it_gets_alone():
    torch.manual_seed(0)
    net = randomise(DiT(latent_dim=3, text_dim=5, dim=32, depth=2, num_heads=2))
    x, prompt, text = torch.randn(1, 7, 3), torch.randn(1, 7, 3), torch.randn(1, 7, 5)
    t = torch.tensor([0.4])
    alone = net(x, t, prompt, text, length_mask(torch.tensor([7])))
    pad = [torch.nn.functional.pad(v, (0, 0, 0, 6)) for v in (x, prompt, text)]
    pair = [torch.cat([v, torch.randn_like(v)]) for v in pad]
    together = net(
        pair[0], torch.tensor([0.4, 0.9]), *pair[1:], length_mask(torch.tensor([7, 13]))
    )
    torch.testing.assert_close(together[:1, :7], alone, atol=1e-5, rtol=1e-5)


def test_too_many_frames_are_refused():
    net = DiT(latent_dim=1, text_dim=1, dim=16, depth=1, num_heads=1, max_frames=4)
    one = torch.zeros(1, 5, 1)
    with pytest.raises(InputError, match="5 frames are more than the model's 4"):
        net(one, torch.zeros(1), one, one, torch.ones(1, 5, dtype=torch.bool))


@pytest.mark.parametrize("dim, num_heads", [(256, 6), (48, 16)])
def test_heads_that_do_not_divide_up_are_refused(dim, num_heads):
    with pytest.raises(InputError, match=f"{num_heads} heads do not divide up dim"):
        DiT(latent_dim=1, text_dim=1, dim=dim, depth=1, num_heads=num_heads)


def test_positions_need_an_even_size():
    with pytest.raises(InputError, match="dim 9 is odd"):
        TextEncoder(5, dim=9, num_layers=0)
    assert TextEncoder(5, dim=9, num_layers=0, positions=False).dim == 9


def test_positions():
    positions = sinusoidal_positions(10, 6)
    assert positions.shape == (10, 6)
    assert torch.equal(positions[0], torch.tensor([1.0, 1, 1, 0, 0, 0]))


@pytest.mark.parametrize("laid", [False, True])
def test_text_encoder_masks_and_drops(laid):
    torch.manual_seed(0)
    options = dict(num_symbol_layers=1, place=True, positions=False) if laid else {}
    net = randomise(TextEncoder(10, dim=8, num_layers=1, **options))
    text = torch.tensor([[1, 2, 3], [4, 5, 0]])
    lengths = torch.tensor([3, 2])
    mask = length_mask(torch.tensor([6, 4]))
    durations = torch.tensor([[1, 2, 3], [2, 2, 0]]) if laid else None
    y = net(text, lengths, mask, durations)
    assert y.shape == (2, 6, 8) and not y[1, 4:].any()
    alone = net(
        text[1:, :2],
        lengths[1:],
        mask[1:, :4],
        None if durations is None else durations[1:, :2],
    )
    torch.testing.assert_close(y[1:, :4], alone, atol=1e-5, rtol=1e-5)
    dropped = net(text, lengths, mask, durations, torch.tensor([True, False]))
    other = net(9 - text, lengths, mask, durations, torch.tensor([True, False]))
    torch.testing.assert_close(dropped[0], other[0])
    assert not torch.allclose(dropped[1], other[1])


def test_frames_of_one_symbol_share_it():
    torch.manual_seed(0)
    net = TextEncoder(10, dim=8, num_layers=0, positions=False)
    mask = torch.ones(1, 5, dtype=torch.bool)
    y = net(torch.tensor([[7, 3]]), torch.tensor([2]), mask, torch.tensor([[2, 3]]))
    expected = net.text_embed.weight[[8, 8, 4, 4, 4]]
    torch.testing.assert_close(y[0], expected)


def test_text_that_does_not_fit_is_refused():
    net = TextEncoder(10, dim=8, num_layers=0)
    mask = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(InputError, match="longer than its frames"):
        net(torch.zeros(1, 3, dtype=torch.long), torch.tensor([3]), mask)
    net = TextEncoder(10, dim=8, place=True)
    with pytest.raises(InputError, match="give durations"):
        net(torch.zeros(1, 2, dtype=torch.long), torch.tensor([2]), mask)
