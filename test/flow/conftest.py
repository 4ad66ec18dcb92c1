"""A small velocity network of each backbone, and a batch for it."""

import pytest
import torch

from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.flow import TokenEncoder, VelocityNetwork
from espnet_fsqdiff.nets.adaptive_convnext import AdaptiveConvNeXt
from espnet_fsqdiff.nets.dit import DiT

N_MELS, SPEAKER = 5, 3
BACKBONES = {
    "convnext": lambda **options: AdaptiveConvNeXt(dim=16, depth=2, mult=2, **options),
    "dit": lambda **options: DiT(dim=32, depth=2, num_heads=2, mult=2, **options),
}


def make_network(backbone="convnext", spk_embed_dim=None):
    torch.manual_seed(0)
    token_encoder = TokenEncoder(FSQCodebook((3, 3, 3)), dim=8, num_layers=1)
    network = VelocityNetwork(
        token_encoder,
        BACKBONES[backbone](latent_dim=N_MELS, text_dim=8),
        N_MELS,
        spk_embed_dim,
    )
    # Far from where training starts, so that everything matters.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    network.set_mel_statistics(torch.linspace(-2, 0, N_MELS), torch.full((N_MELS,), 2))
    return network.eval()


@pytest.fixture(params=BACKBONES)
def network(request):
    """With speaker embeddings."""
    return make_network(request.param, SPEAKER)


@pytest.fixture
def plain():
    """Without."""
    return make_network()
