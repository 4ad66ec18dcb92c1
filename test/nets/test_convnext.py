"""ConvNeXt blocks and masks: padding must not be felt."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.convnext import ConvNeXtBlock, ConvNeXtStack
from espnet_fsqdiff.nets.masks import length_mask, masked_mean
from espnet_fsqdiff.nets.precision import cpu_autocast


@pytest.mark.parametrize("grn", [False, True])
def test_padding_changes_nothing(grn):
    torch.manual_seed(0)
    block = ConvNeXtBlock(8, 16, grn=grn).eval()
    if grn:
        torch.nn.init.normal_(block.grn.gamma)
    x = torch.randn(1, 5, 8)
    padded = torch.cat([x, torch.zeros(1, 4, 8)], dim=1)
    y = block(padded, length_mask(torch.tensor([5]), 9))
    torch.testing.assert_close(y[:, :5], block(x))
    assert not y[:, 5:].any()


def test_stack_is_masked():
    stack = ConvNeXtStack(8, 2).eval()
    mask = length_mask(torch.tensor([2, 4]))
    y = stack(torch.randn(2, 4, 8), mask)
    assert not y[0, 2:].any() and y[1].abs().min() > 0


def test_masked_mean():
    x = torch.tensor([[1.0, 3.0, 100.0], [2.0, 2.0, 2.0]])
    assert masked_mean(x, length_mask(torch.tensor([2, 3]))).tolist() == [2, 2]


def test_cpu_autocast_modes():
    a, b = torch.randn(2, 2), torch.randn(2, 2)
    with cpu_autocast(a.device, "bfloat16"):
        assert (a @ b).dtype == torch.bfloat16
    with cpu_autocast(a.device, "off"):
        assert (a @ b).dtype == torch.float32
    with pytest.raises(InputError, match="cpu_autocast 'bf16' is unknown"):
        cpu_autocast(a.device, "bf16")
