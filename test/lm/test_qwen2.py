"""Our decoder against transformers' Qwen2, and its cache."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm.qwen2 import KVCache, Qwen2Decoder


def causal(size):
    return torch.ones(size, size, dtype=torch.bool).tril().view(1, 1, size, size)


@torch.no_grad()
def test_it_is_qwen2():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        vocab_size=1,
    )
    theirs = transformers.Qwen2Model(config).eval()
    ours = Qwen2Decoder(32, 2, 4, 2, mlp_dim=48).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    states = theirs.state_dict()
    del states["embed_tokens.weight"]
    ours.load_state_dict(states)
    x = torch.randn(2, 7, 32)
    expected = theirs(inputs_embeds=x).last_hidden_state
    found = ours(x, torch.arange(7).expand(2, -1), causal(7))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_cache_continues():
    torch.manual_seed(0)
    decoder = Qwen2Decoder(32, 2, 4, 2, init_std=0.3).eval()
    x, places = torch.randn(3, 6, 32), torch.arange(6).expand(3, -1) + 0.5
    whole = decoder(x, places, causal(6))
    cache = KVCache(2, capacity=6)
    first = decoder(x[:, :4], places[:, :4], causal(4), cache)
    torch.testing.assert_close(first, whole[:, :4])
    cache.select(torch.tensor([0, 2]))
    for t in (4, 5):
        step = slice(t, t + 1)
        mask = torch.ones(2, 1, 1, t + 1, dtype=torch.bool)
        one = decoder(x[[0, 2], step], places[[0, 2], step], mask, cache)
        torch.testing.assert_close(one, whole[[0, 2], step], atol=1e-5, rtol=1e-4)
    assert cache.length == 6


@torch.no_grad()
def test_only_distances_count():
    torch.manual_seed(0)
    decoder = Qwen2Decoder(32, 2, 4, init_std=0.3).eval()
    x, places = torch.randn(1, 5, 32), torch.arange(5).unsqueeze(0)
    one, moved, wider = (
        decoder(x, at, causal(5)) for at in (places, places + 3, 2 * places)
    )
    torch.testing.assert_close(one, moved, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(one, wider, atol=1e-2)


def test_heads_have_to_divide_up():
    with pytest.raises(InputError, match="5 heads .* do not divide up dim 32"):
        Qwen2Decoder(32, num_heads=5)
