"""Utterances to sample: random text and prompts of given lengths."""

from typing import List, NamedTuple, Optional, Sequence

import torch

from benchmarks.networks import NUM_SYMBOLS, Parts
from espnet_fsqdiff.duration import to_frames

RATE_HZ = 25  # tokens a second
SYMBOLS_PER_SECOND = 14


class Workload(NamedTuple):
    """A batch, as `generate` takes it.

    Attributes:
        text: Symbol ids (S,) of each utterance, its prompt's text included.
        num_frames: Frames of each, its prompt included.
        durations: Frames of each symbol, or None where text is laid as filler.
        prompts: Prompt tokens (P,) of each.
        seeds: Of the initial noise.
    """

    text: List[torch.Tensor]
    num_frames: List[int]
    durations: Optional[List[torch.Tensor]]
    prompts: List[torch.Tensor]
    seeds: List[int]

    @property
    def new_frames(self) -> int:
        """Frames to be sampled, prompts and padding left out."""
        return sum(self.num_frames) - sum(p.numel() for p in self.prompts)

    @property
    def waste(self) -> float:
        """Share of a padded batch's frames that are padding."""
        padded = len(self.num_frames) * max(self.num_frames)
        return 1 - sum(self.num_frames) / padded

    def one(self, i: int) -> "Workload":
        """Utterance i alone."""
        return Workload(*(None if x is None else x[i : i + 1] for x in self))


def make_workload(
    parts: Parts, seconds: Sequence[float], prompt_seconds: float = 3.0
) -> Workload:
    """Utterances of those lengths (without their prompts), the same each time."""
    generator = torch.Generator().manual_seed(0)
    prompt_frames = round(prompt_seconds * RATE_HZ)
    text, num_frames, durations, prompts = [], [], [], []
    for s in seconds:
        frames = round(s * RATE_HZ) + prompt_frames
        symbols = max(1, frames * SYMBOLS_PER_SECOND // RATE_HZ)
        text.append(torch.randint(NUM_SYMBOLS, (symbols,), generator=generator))
        num_frames.append(frames)
        durations.append(torch.as_tensor(to_frames(torch.ones(symbols), total=frames)))
        prompts.append(
            torch.randint(
                parts.codebook.num_codes, (prompt_frames,), generator=generator
            )
        )
    return Workload(
        text,
        num_frames,
        durations if parts.lays_text else None,
        prompts,
        list(range(len(text))),
    )


def mixed_lengths(longest: float, size: int) -> List[float]:
    """`size` lengths in seconds, evenly spread from half of `longest` up to it."""
    return [longest * (0.5 + 0.5 * i / max(1, size - 1)) for i in range(size)]
