"""Finite scalar quantization: bijections, rounding, gradients, statistics."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ, code_usage

LEVELS = [[3] * 8, [2, 2, 2], [8, 5, 5, 5], [4], [7, 2, 3]]


@pytest.mark.parametrize("levels", LEVELS)
def test_indices_and_codes_are_a_bijection(levels):
    fsq = FSQ(levels)
    indices = torch.arange(fsq.num_codes)
    codes = fsq.indices_to_codes(indices)
    assert codes.dtype == torch.float32 and codes.abs().max() == 1
    assert torch.equal(fsq.codes_to_indices(codes), indices)
    assert torch.unique(codes, dim=0).size(0) == fsq.num_codes == math.prod(levels)


def test_numbering_is_little_endian_base_three():
    fsq = FSQ([3] * 8)
    codes = torch.tensor(
        [[-1.0] * 8, [0] + [-1.0] * 7, [-1.0, 1] + [-1.0] * 6, [1] * 8]
    )
    assert fsq.codes_to_indices(codes).tolist() == [0, 1, 6, 6560]
    index = 4321
    values = fsq.indices_to_codes(torch.tensor(index))
    assert sum((int(v) + 1) * 3**i for i, v in enumerate(values)) == index


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=5),
    st.integers(0, 2**31),
    st.data(),
)
def test_quantize_takes_the_nearest_point(levels, seed, data):
    fsq = FSQ(levels)
    z = torch.rand(7, len(levels), generator=torch.Generator().manual_seed(seed))
    z = 2 * z - 1
    codes = fsq.indices_to_codes(fsq.quantize(z))
    spacing = 2 / (torch.tensor(levels) - 1)
    assert ((codes - z).abs() <= spacing / 2 + 1e-6).all()


def test_rounding_passes_the_gradient_of_the_bound():
    fsq = FSQ([3, 4])
    x = torch.randn(5, 2, requires_grad=True)
    codes, indices = fsq(x)
    assert torch.equal(fsq.indices_to_codes(indices), codes.detach())
    codes.sum().backward()
    torch.testing.assert_close(x.grad, 1 - torch.tanh(x.detach()) ** 2)


def test_float32_under_autocast_and_nothing_saved():
    fsq = FSQ([3] * 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes, indices = fsq(torch.randn(2, 3, 4).bfloat16())
    assert codes.dtype == torch.float32 and indices.dtype == torch.int64
    assert not fsq.state_dict()


@pytest.mark.parametrize("token", [-1, 81])
def test_a_token_outside_the_codebook_is_refused(token):
    with pytest.raises(
        InputError, match=f"token {token} is outside the codebook 0..80"
    ):
        FSQ([3] * 4).indices_to_codes(torch.tensor([0, token]))


@pytest.mark.parametrize("levels", [[], [1, 3], [2] * 63])
def test_impossible_levels_are_refused(levels):
    with pytest.raises(InputError, match="levels"):
        FSQ(levels)


def test_usage_of_known_frequencies():
    usage = code_usage(torch.tensor([[0, 0, 1, 1], [2, 2, 3, 3]]), 8)
    assert usage["used_codes"] == 4 and usage["utilisation"] == 0.5
    assert usage["perplexity"] == pytest.approx(4)


def test_codebook_nearest_agrees_with_search():
    codebook = FSQCodebook([3, 2, 4])
    x = torch.randn(50, 3)
    distance = torch.cdist(x.clamp(-1, 1), codebook.points)
    assert torch.equal(codebook.nearest(x), distance.argmin(-1))
    tokens = torch.arange(codebook.num_codes)
    assert torch.equal(codebook.points[tokens], codebook.embed(tokens))
