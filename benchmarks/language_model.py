"""A language model of the shape that CosyVoice 2 has: the autoregressive way.

transformers' Qwen2 with random weights: time and memory do not depend on them.
The backbone is that of Qwen2.5-0.5B with its text embeddings; speech tokens have
an embedding and an output layer of their own, as in CosyVoice 2, so that the
large output layer over text is never computed.
"""

from typing import NamedTuple

import torch
from torch import nn

from benchmarks.machine import medians
from espnet_fsqdiff.errors import InputError

SHAPE = dict(
    hidden_size=896,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    intermediate_size=4864,
    vocab_size=151936,
)
NUM_SPEECH_TOKENS = 6561 + 3  # the codes, end of speech and two fills


def parameter_count(
    hidden_size: int,
    num_hidden_layers: int,
    num_attention_heads: int,
    num_key_value_heads: int,
    intermediate_size: int,
    vocab_size: int,
) -> int:
    """Parameters of a Qwen2 whose output layer is its embedding.

    With d the width, d_kv = d (key-value heads) / (heads), f the MLP's width:

        V d + L (2 d^2 + 2 d d_kv + d + 2 d_kv + 3 d f + 2 d) + d

    (queries and output, keys and values, their biases, the MLP's three matrices,
    two norms; one norm at the end).
    """
    d, f = hidden_size, intermediate_size
    d_kv = d // num_attention_heads * num_key_value_heads
    layer = 2 * d * d + 2 * d * d_kv + d + 2 * d_kv + 3 * d * f + 2 * d
    return vocab_size * d + num_hidden_layers * layer + d


def require_transformers() -> None:
    """Raise an InputError of one line if transformers is not installed."""
    try:
        import transformers  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "transformers is not installed: `pip install -e .[benchmarks]`, "
            "or leave out `lm` from --parts"
        ) from None


class SpeechLM(nn.Module):
    """Speech tokens one after another, each seeing all before it.

    Args:
        **shape: As `SHAPE`.
    """

    def __init__(self, **shape: int):
        super().__init__()
        require_transformers()
        from transformers import Qwen2Config, Qwen2Model

        config = Qwen2Config(**shape, attn_implementation="sdpa")
        # Values do not matter, but must be small; this is fast to draw.
        with torch.device("meta"):
            self.backbone = Qwen2Model(config)
            self.embedding = nn.Embedding(NUM_SPEECH_TOKENS, config.hidden_size)
            self.output = nn.Linear(config.hidden_size, NUM_SPEECH_TOKENS)
        self.to_empty(device="cpu")
        for p in self.parameters():
            nn.init.uniform_(p, -0.02, 0.02)
        # Rotary rates are no parameters: made again where values are real.
        rotary = type(self.backbone.rotary_emb)
        self.backbone.rotary_emb = rotary(config=config)
        self.requires_grad_(False).eval()

    def prefill(self, inputs: torch.Tensor):
        """Vectors (1, P, d) to the cache and the first token (1, 1)."""
        done = self.backbone(inputs_embeds=inputs, use_cache=True)
        return done.past_key_values, self._choose(done.last_hidden_state)

    def continue_(self, cache, token: torch.Tensor, number: int) -> torch.Tensor:
        """`number` tokens (1, number) after `token`; the cache grows by them."""
        tokens = []
        for _ in range(number):
            done = self.backbone(
                inputs_embeds=self.embedding(token),
                past_key_values=cache,
                use_cache=True,
            )
            token = self._choose(done.last_hidden_state)
            tokens.append(token)
        return torch.cat(tokens, dim=1)

    def _choose(self, features: torch.Tensor) -> torch.Tensor:
        p = self.output(features[:, -1]).float().softmax(-1)
        return torch.multinomial(p, 1)


class Cost(NamedTuple):
    """Seconds of a generation.

    Attributes:
        prefill: Text and prompt, read at once.
        per_token: One token in the middle of the utterance.
    """

    prefill: float
    per_token: float

    def total(self, num_tokens: int) -> float:
        """Seconds for an utterance."""
        return self.prefill + num_tokens * self.per_token


def measure(
    model: SpeechLM,
    given: int,
    num_tokens: int,
    measured: int = 60,
    repeats: int = 3,
) -> Cost:
    """Time a generation, of which only the middle is run.

    Args:
        model: The model, in any float type, on any device.
        given: Tokens of text and prompt.
        num_tokens: Tokens to be generated.
        measured: Tokens that are really generated, around the middle.
        repeats: Of which the median is taken.
    """
    measured = min(measured, num_tokens)
    weight = model.output.weight
    middle = given + (num_tokens - measured) // 2
    inputs = 0.02 * torch.randn(1, middle, weight.size(1)).to(weight)
    state = {}

    def read() -> None:
        state["cache"], state["token"] = model.prefill(inputs)

    def go_on() -> None:
        # Every round continues what this round has read.
        model.continue_(state["cache"], state["token"], measured)

    with torch.inference_mode():
        seconds = medians(
            {
                "prefill": lambda: model.prefill(inputs[:, :given]),
                "read": read,
                "tokens": go_on,
            },
            repeats,
        )
    return Cost(seconds["prefill"], seconds["tokens"] / measured)
