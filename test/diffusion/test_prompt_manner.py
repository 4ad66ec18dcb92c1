"""A model that was trained with prompts goes on in a prompt's manner."""

import pytest
import torch

from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.diffusion import (
    CDCDLoss,
    CDCDNetwork,
    LinearSchedule,
    Sampling,
    generate,
)
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import JointHead
from espnet_fsqdiff.nets.text_encoder import TextEncoder

NUM_SYMBOLS, FRAMES, PROMPT = 6, 16, 4
SCHEDULE = LinearSchedule()
CODEBOOK = FSQCodebook([3, 3, 3])


def speak(text, manner):
    """Tokens of symbols: manner 1 is the mirror image of manner 0 in the grid."""
    token = 1 + text * 2
    return token if manner == 0 else CODEBOOK.num_codes - 1 - token


def utterances(size, generator):
    text = torch.randint(NUM_SYMBOLS, (size, FRAMES), generator=generator)
    manner = torch.randint(2, (size, 1), generator=generator)
    return text, manner, torch.where(manner == 0, speak(text, 0), speak(text, 1))


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = TextEncoder(vocab_size=NUM_SYMBOLS, dim=16, num_layers=1)
        backbone = DiT(CODEBOOK.dim, encoder.dim, dim=48, depth=2, num_heads=4)
        network = CDCDNetwork(encoder, backbone, JointHead(48, CODEBOOK))
        loss = CDCDLoss(SCHEDULE, prompt_prob=1.0, prompt_fraction=(0.1, 0.5))
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
        generator = torch.Generator().manual_seed(0)
        lengths = torch.full((32,), FRAMES)
        for _ in range(200):
            text, _, tokens = utterances(32, generator)
            draw = loss.draw(lengths, FRAMES, CODEBOOK.dim)
            laid = torch.ones_like(text)
            values, _ = loss(
                network, CODEBOOK, tokens, lengths, text, lengths, laid, draw
            )
            optimizer.zero_grad()
            values.mean().backward()
            optimizer.step()
    return network.eval()


def follow(network, text, prompts):
    size = len(text)
    tokens = generate(
        network,
        CODEBOOK,
        SCHEDULE,
        list(text),
        [FRAMES] * size,
        [torch.ones(FRAMES, dtype=torch.long)] * size,
        prompts,
        sampling=Sampling(num_steps=8),
    )
    return torch.stack([row[-(FRAMES - PROMPT) :] for row in tokens])


@pytest.mark.parametrize("manner", [0, 1])
def test_speech_goes_on_in_the_prompts_manner(network, manner):
    text, _, _ = utterances(16, torch.Generator().manual_seed(1))
    prompts = list(speak(text[:, :PROMPT], manner))
    found = follow(network, text, prompts)
    expected = speak(text[:, PROMPT:], manner)
    other = speak(text[:, PROMPT:], 1 - manner)
    assert (found == expected).float().mean() > 0.9
    assert (found == other).float().mean() < 0.1
