"""Weights are counted once, in numbers and bytes."""

import torch
from torch import nn

from espnet_fsqdiff.model_size import model_size


def test_networks_and_what_holds_them():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    class Holder:
        def __init__(self):
            self.network, self.again, self.fs = network, network, 24000

    # Buffers: mean and variance of 4, and an int64.
    size = dict(parameters=16 + 8, bytes=4 * (16 + 8 + 8) + 8)
    assert model_size(network) == size
    assert model_size(Holder(), network) == size
    half = nn.Linear(3, 4).to(torch.float16)
    assert model_size(half) == dict(parameters=16, bytes=32)
    assert model_size(object_without_networks()) == dict(parameters=0, bytes=0)


def object_without_networks():
    class Nothing:
        pass

    return Nothing()
