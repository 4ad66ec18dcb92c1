"""On a CPU, texts of many lengths are computed in few."""

import pytest
import torch

from espnet_fsqdiff import kernel_cache
from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.diffusion import CDCDNetwork, LinearSchedule, Sampling
from espnet_fsqdiff.diffusion.generate import generate
from espnet_fsqdiff.kernel_cache import rounded_length
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import JointHead
from espnet_fsqdiff.nets.text_encoder import TextEncoder

LENGTHS = [9, 14, 16, 23, 30]


def make_network(masked=True):
    torch.manual_seed(0)
    codebook = FSQCodebook((3, 3, 3))
    network = CDCDNetwork(
        TextEncoder(6, dim=16, num_layers=1, num_symbol_layers=1, mask_grn=masked),
        DiT(3, 16, dim=32, depth=1, num_heads=2, max_frames=30, mask_conv=masked),
        JointHead(32, codebook),
    )
    # Far from where training starts, so that text and noise matter.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval(), codebook


def sample(network, codebook, lengths):
    return generate(
        network,
        codebook,
        LinearSchedule(),
        [torch.arange(n // 4 + 2) % 6 for n in lengths],
        lengths,
        [torch.tensor([n - n // 4 - 1] + [1] * (n // 4 + 1)) for n in lengths],
        sampling=Sampling(num_steps=3, guidance_scale=0.5),
        seeds=lengths,
    )


@pytest.fixture
def sizes(monkeypatch):
    """Lengths that the network's convolutions have seen, by their number of groups."""
    seen = {}
    convolve = torch.nn.functional.conv1d

    def spy(x, weight, *args, **options):
        seen.setdefault(weight.shape, set()).add(x.size(-1))
        return convolve(x, weight, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "conv1d", spy)
    image = torch.nn.functional.conv2d

    def spy_image(x, weight, *args, **options):
        seen.setdefault(weight.shape, set()).add(x.size(-1))
        return image(x, weight, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", spy_image)
    return seen


def test_rounding():
    assert [rounded_length(n) for n in (1, 8, 9, 30)] == [8, 8, 16, 32]
    assert [rounded_length(n, 30) for n in (1, 29, 30, 31)] == [8, 30, 30, 31]


def test_few_lengths_and_the_same_tokens(sizes, monkeypatch):
    network, codebook = make_network()
    rounded = [sample(network, codebook, [n])[0] for n in LENGTHS]
    assert sizes and all(n % 8 == 0 or n == 30 for seen in sizes.values() for n in seen)
    assert {16, 24, 30} in sizes.values()
    sizes.clear()
    monkeypatch.setattr(kernel_cache, "LENGTH_STEP", 1)
    exact = [sample(network, codebook, [n])[0] for n in LENGTHS]
    assert set(LENGTHS) in sizes.values()
    assert [len(tokens) for tokens in rounded] == LENGTHS
    assert all(map(torch.equal, rounded, exact))
    assert len(torch.cat(exact).unique()) > 5


def test_a_network_that_sees_padding_gets_none(sizes):
    network, codebook = make_network(masked=False)
    for n in LENGTHS:
        sample(network, codebook, [n])
    assert set(LENGTHS) in sizes.values()
    assert not any({16, 24, 30} == seen for seen in sizes.values())
