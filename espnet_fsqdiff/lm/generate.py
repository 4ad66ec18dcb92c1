"""Sampling from the language model, one token after another, in batches."""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.diffusion.generate import PRECISIONS
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm.network import Given, TokenLM
from espnet_fsqdiff.lm.qwen2 import KVCache
from espnet_fsqdiff.lm.sampling import NONE, LMSampling, draw
from espnet_fsqdiff.nets.masks import length_mask


class Generated(NamedTuple):
    """What the model said.

    Attributes:
        tokens: (N,), int64, on the CPU.
        stopped: Whether it stopped by itself; False if the greatest length cut
            it off.
    """

    tokens: torch.Tensor
    stopped: bool


class Decoding:
    """Texts and prompts, read; then one more token of each utterance at a time.

    Prompts are padded at their end and the padding is never looked at; positions
    go on without it, so that an utterance does not depend on its batch.

    Args:
        network: In eval mode.
        given: The texts.
        prompts: Tokens (B, P), padded at the end.
        prompt_lengths: (B,).
        num_tokens: Most tokens to come.

    Attributes:
        features: Of the next token (B, dim).
    """

    def __init__(
        self,
        network: TokenLM,
        given: Given,
        prompts: torch.Tensor,
        prompt_lengths: torch.Tensor,
        num_tokens: int,
    ):
        self.network = network
        self.given = given
        self.places = prompt_lengths + 1
        real = length_mask(prompt_lengths, prompts.size(1))
        self.seen = torch.cat([given.mask, F.pad(real, (1, 0), value=True)], dim=1)
        self.cache = KVCache(
            len(network.backbone.layers), self.seen.size(1) + num_tokens
        )
        features = network.read(given, prompts, real, cache=self.cache)
        at = prompt_lengths.view(-1, 1, 1).expand(-1, 1, features.size(-1))
        self.features = features.gather(1, at)[:, 0]

    def select(self, rows: torch.Tensor) -> None:
        """Go on with these utterances (R,) alone."""
        self.given = self.given.select(rows)
        self.places, self.seen = self.places[rows], self.seen[rows]
        self.cache.select(rows)

    def step(self, tokens: torch.Tensor) -> None:
        """Read the token (B,) of each utterance."""
        self.seen = F.pad(self.seen, (0, 1), value=True)
        self.features = self.network.read_next(
            self.given, tokens, self.places, self.seen, self.cache
        )
        self.places = self.places + 1


@torch.no_grad()
def generate(
    network: TokenLM,
    text: Sequence[torch.Tensor],
    limits: Sequence[Tuple[int, int]],
    durations: Optional[Sequence[torch.Tensor]] = None,
    prompts: Optional[Sequence[Optional[torch.Tensor]]] = None,
    seeds: Optional[Sequence[int]] = None,
    sampling: LMSampling = LMSampling(),
) -> List[Generated]:
    """Sample tokens for a batch; each utterance gets what it would get alone.

    Args:
        network: Trained network, in eval mode.
        text: Symbol ids (S,) of each utterance, its prompt's text included.
        limits: Least and greatest number of tokens of each, its prompt not
            included; if they are equal, the length is fixed.
        durations: Frames of each symbol (S,), prompt included, for a network
            that lays the text; then lengths have to be fixed.
        prompts: Prompt tokens (P,) of each utterance, or None.
        seeds: One per utterance; 0, 1, 2, ... by default.
        sampling: How tokens are drawn.

    Returns:
        The tokens of each utterance after its prompt.

    Raises:
        InputError: If limits, durations and prompts do not fit each other.
    """
    device = next(network.parameters()).device
    size = len(text)
    seeds = range(size) if seeds is None else seeds
    prompts = [None] * size if prompts is None else prompts
    prompts = [torch.zeros(0) if p is None else torch.as_tensor(p) for p in prompts]
    _check(network, limits, durations, prompts)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    ids = pad_sequence([torch.as_tensor(t) for t in text], batch_first=True).to(device)
    text_lengths = torch.tensor([len(t) for t in text], device=device)
    prompt_lengths = torch.tensor([len(p) for p in prompts], device=device)
    prompt = pad_sequence([p.long() for p in prompts], batch_first=True).to(device)
    laid = None
    if network.lay_text:
        laid = pad_sequence(list(durations), batch_first=True).to(device)
    most = max(high for _, high in limits)
    dtype = PRECISIONS[sampling.precision]
    said: List[List[int]] = [[] for _ in text]
    stopped = [False] * size
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        frames = prompt.size(1) + most + 1
        given = network.encode_text(ids, text_lengths, laid, frames)
        decoding = Decoding(network, given, prompt, prompt_lengths, most)
        rows = list(range(size))  # utterances still speaking
        while True:
            logits = network.logits(decoding.features).float().cpu()
            # Where the length is fixed, the end is never drawn.
            early = [
                len(said[i]) < limits[i][0] or limits[i][0] == limits[i][1]
                for i in rows
            ]
            logits[torch.tensor(early), network.stop_id] = float("-inf")
            u = torch.stack([torch.rand(2, generator=generators[i]) for i in rows])
            history = _history([said[i] for i in rows], sampling.repetition_window)
            tokens = draw(logits, history, u, sampling)
            going = []
            for at, (i, token) in enumerate(zip(rows, tokens.tolist())):
                if token == network.stop_id:
                    stopped[i] = True
                    continue
                said[i].append(token)
                if len(said[i]) < limits[i][1]:
                    going.append(at)
                elif limits[i][0] == limits[i][1]:
                    stopped[i] = True
            if not going:
                break
            if len(going) < len(rows):
                rows = [rows[at] for at in going]
                tokens = tokens[going]
                decoding.select(torch.tensor(going, device=device))
            decoding.step(tokens.to(device))
    return [
        Generated(torch.tensor(ids, dtype=torch.int64), end)
        for ids, end in zip(said, stopped)
    ]


def _history(said: Sequence[Sequence[int]], window: int) -> torch.Tensor:
    """The last `window` tokens of each (B, window), `NONE` where there are fewer."""
    if window == 0:
        return torch.zeros(len(said), 0, dtype=torch.int64)
    last = [list(ids[-window:]) for ids in said]
    return torch.tensor([[NONE] * (window - len(ids)) + ids for ids in last])


def _check(network, limits, durations, prompts) -> None:
    """Refuse what does not fit."""
    for i, ((low, high), prompt) in enumerate(zip(limits, prompts)):
        if not 1 <= low <= high:
            raise InputError(
                f"utterance {i}: lengths of {low} to {high} tokens; give a prompt "
                "shorter than the utterance, and at least 1 token"
            )
        if not network.lay_text:
            continue
        if durations is None:
            raise InputError("this model lays text by durations; give durations")
        frames = int(durations[i].sum())
        if low != high or frames != high + len(prompt):
            raise InputError(
                f"utterance {i}: its durations make {frames} frames, its prompt has "
                f"{len(prompt)}, and {low} to {high} tokens were asked for"
            )
