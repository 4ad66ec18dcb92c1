"""How a language model's logits become tokens: pure functions of logits (B, V)."""

import math
from dataclasses import dataclass
from typing import Tuple

import torch

from espnet_fsqdiff.diffusion.generate import PRECISIONS
from espnet_fsqdiff.errors import InputError

NONE = -1  # in a history: no token


@dataclass(frozen=True)
class LMSampling:
    """Sampling of a language model; the defaults are those of CosyVoice 2.

    Attributes:
        temperature: Divides the logits; 0 takes the most likely token.
        top_k: Only this many of the most likely tokens; 0 for all.
        top_p: Only the most likely tokens that together have this probability.
        repetition_window: Repetition-aware sampling looks at this many last
            tokens; 0 switches it off.
        repetition_ratio: A token that fills at least this share of the window is
            drawn again, from all tokens.
        min_ratio: Least length, as a share of the predicted one.
        max_ratio: Greatest length, as a share of the predicted one.
        precision: `float32`, or `bfloat16` or `float16` for the network.

    Raises:
        InputError: If a figure is out of range.
    """

    temperature: float = 1.0
    top_k: int = 25
    top_p: float = 0.8
    repetition_window: int = 10
    repetition_ratio: float = 0.1
    min_ratio: float = 0.5
    max_ratio: float = 2.0
    precision: str = "float32"

    def __post_init__(self):
        for name, fits, wanted in (
            ("temperature", self.temperature >= 0, "0 or more"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "more than 0, at most 1"),
            ("repetition_window", self.repetition_window >= 0, "0 or more"),
            ("repetition_ratio", 0 < self.repetition_ratio <= 1, "more than 0 to 1"),
            ("min_ratio", 0 <= self.min_ratio <= self.max_ratio, "0 to max_ratio"),
            ("max_ratio", 0 < self.max_ratio < math.inf, "more than 0"),
            ("precision", self.precision in PRECISIONS, ", ".join(PRECISIONS)),
        ):
            if not fits:
                raise InputError(f"{name} is {getattr(self, name)}; give {wanted}")

    def limits(self, num_frames: int, max_frames: int) -> Tuple[int, int]:
        """Least and greatest number of tokens where `num_frames` are predicted."""
        most = min(max(1, math.ceil(self.max_ratio * num_frames)), max_frames)
        return min(max(1, math.floor(self.min_ratio * num_frames)), most), most


def nucleus(logits: torch.Tensor, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """Logits (B, V) with all but the most likely entries at -inf.

    Kept are the fewest entries whose probability sums up to `top_p`, but at most
    `top_k` of them if that is not 0, and always one (Holtzman et al., 2020).
    """
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    p = ranked.softmax(-1)
    dropped = p.cumsum(-1) - p >= top_p
    if top_k > 0:
        dropped[:, top_k:] = True
    dropped[:, 0] = False
    dropped = torch.zeros_like(dropped).scatter(-1, order, dropped)
    return logits.masked_fill(dropped, float("-inf"))


def pick(logits: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Draw from softmax(logits) (B, V) by inverting its distribution function.

    Args:
        logits: (B, V), -inf where nothing may be drawn.
        u: Uniform on [0, 1), (B,), float32.

    Returns:
        Tokens (B,), int64.
    """
    cdf = logits.double().softmax(-1).cumsum(-1)
    at = u.double().unsqueeze(-1) * cdf[:, -1:]
    return torch.searchsorted(cdf, at, right=True).squeeze(-1)


def repeated(tokens: torch.Tensor, history: torch.Tensor, ratio: float) -> torch.Tensor:
    """Whether each token (B,) fills at least `ratio` of its history (B, W)."""
    count = (history == tokens.unsqueeze(-1)).sum(-1)
    return count >= ratio * history.size(-1)


def draw(
    logits: torch.Tensor,
    history: torch.Tensor,
    u: torch.Tensor,
    sampling: LMSampling,
) -> torch.Tensor:
    """One token for each utterance.

    A token is drawn from the nucleus. If it has filled `repetition_ratio` of the
    last tokens, it is drawn again from all: repetition-aware sampling (VALL-E 2,
    arXiv 2406.05370), which keeps silences and vowels from going on for ever.

    Args:
        logits: (B, V), -inf where nothing may be drawn.
        history: The last `repetition_window` tokens (B, W), `NONE` where there
            are fewer.
        u: Uniform on [0, 1), (B, 2), float32: for either draw.
        sampling: How.

    Returns:
        Tokens (B,), int64.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    logits = logits / sampling.temperature
    tokens = pick(nucleus(logits, sampling.top_k, sampling.top_p), u[:, 0])
    if history.size(-1) == 0:
        return tokens
    again = repeated(tokens, history, sampling.repetition_ratio)
    return torch.where(again, pick(logits, u[:, 1]), tokens)
