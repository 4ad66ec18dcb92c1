"""From text and durations to tokens: the denoiser and one call around it."""

from typing import List, Optional, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.samplers import ddim
from espnet_fsqdiff.diffusion.schedule import Schedule, uniform_times
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.masks import length_mask


class GuidedDenoiser:
    """Clean estimate under text, prompt, guidance and temperature.

    logits = (1 + w) cond - w uncond, where `uncond` has seen no text; the
    estimate on the prompt's frames is the prompt itself.

    Args:
        network: Gives the logits.
        text: Text vectors (B, T, text_dim).
        no_text: Those of withheld text; None where `guidance_scale` is 0.
        mask: True on real frames (B, T).
        prompt: Clean latents on the prompt's frames, else zeros (B, T, n).
        prompt_mask: True on the prompt's frames (B, T).
        guidance_scale: w.
        temperature: Divides the logits.
    """

    def __init__(
        self,
        network: CDCDNetwork,
        text: torch.Tensor,
        no_text: Optional[torch.Tensor],
        mask: torch.Tensor,
        prompt: torch.Tensor,
        prompt_mask: torch.Tensor,
        guidance_scale: float = 0.0,
        temperature: float = 1.0,
    ):
        self.network = network
        self.mask = mask
        self.prompt = prompt
        self.prompt_mask = prompt_mask.unsqueeze(-1)
        self.guidance_scale = guidance_scale
        self.temperature = temperature
        self.text = text if no_text is None else torch.cat([text, no_text])
        self.copies = 1 if no_text is None else 2

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x (B, T, n) at time t (scalar) to x0_hat (B, T, n)."""
        n = self.copies
        logits = self.network(
            x.repeat(n, 1, 1),
            t.to(x).expand(n * x.size(0)),
            self.prompt.repeat(n, 1, 1),
            self.text,
            self.mask.repeat(n, 1),
        )
        if n == 2:
            cond, uncond = logits.float().chunk(2)
            logits = cond + self.guidance_scale * (cond - uncond)
        x0 = self.network.head.expectation(logits, self.temperature)
        return torch.where(self.prompt_mask, self.prompt, x0)


@torch.no_grad()
def generate(
    network: CDCDNetwork,
    codebook: Codebook,
    schedule: Schedule,
    text: Sequence[torch.Tensor],
    num_frames: Sequence[int],
    durations: Optional[Sequence[torch.Tensor]] = None,
    prompts: Optional[Sequence[Optional[torch.Tensor]]] = None,
    num_steps: int = 25,
    guidance_scale: float = 0.5,
    prior_std: float = 2 / 3,
    temperature: float = 1.0,
    seeds: Optional[Sequence[int]] = None,
) -> List[torch.Tensor]:
    """Sample tokens for a batch; each utterance gets what it would get alone.

    Args:
        network: Trained network, in eval mode.
        codebook: Where the tokens live.
        schedule: alpha and sigma.
        text: Symbol ids (S,) of each utterance, its prompt's text included.
        num_frames: Frames of each utterance, its prompt included.
        durations: Frames of each symbol (S,), summing up to `num_frames`.
        prompts: Prompt tokens (P,) of each utterance, or None.
        num_steps: Sampling steps.
        guidance_scale: w of `GuidedDenoiser`; 0 saves its second network call.
        prior_std: Standard deviation of the initial noise.
        temperature: Divides the logits.
        seeds: Of the initial noise, one per utterance; 0, 1, 2, ... by default.

    Returns:
        Tokens (num_frames - P,), int64, of each utterance on the CPU.

    Raises:
        InputError: If a prompt is longer than its utterance, or durations do not
            add up.
    """
    device = next(network.parameters()).device
    size = len(text)
    seeds = range(size) if seeds is None else seeds
    prompts = [None] * size if prompts is None else prompts
    prompts = [torch.zeros(0) if p is None else torch.as_tensor(p) for p in prompts]
    for i, (frames, prompt) in enumerate(zip(num_frames, prompts)):
        if prompt.numel() >= frames:
            raise InputError(
                f"utterance {i}: a prompt of {prompt.numel()} tokens leaves none of "
                f"{frames} frames; give a shorter prompt"
            )
        if durations is not None and int(durations[i].sum()) != frames:
            raise InputError(
                f"utterance {i}: its durations make {int(durations[i].sum())} frames, "
                f"not {frames}"
            )
    noise = [
        torch.randn(n, codebook.dim, generator=torch.Generator().manual_seed(seed))
        for n, seed in zip(num_frames, seeds)
    ]
    x = prior_std * pad_sequence(noise, batch_first=True).to(device)
    mask = length_mask(torch.tensor(list(num_frames)), x.size(1)).to(device)
    prompt_lengths = torch.tensor([p.numel() for p in prompts])
    prompt_mask = length_mask(prompt_lengths, x.size(1)).to(device)
    prompt = torch.zeros_like(x)
    for i, p in enumerate(prompts):
        if p.numel():
            prompt[i, : p.numel()] = codebook.embed(p.long().to(device))

    ids = pad_sequence([torch.as_tensor(t) for t in text], batch_first=True).to(device)
    text_lengths = torch.tensor([len(t) for t in text], device=device)
    if durations is not None:
        durations = pad_sequence(list(durations), batch_first=True).to(device)
    vectors = network.encode_text(ids, text_lengths, mask, durations)
    no_text = None
    if guidance_scale != 0:
        drop = torch.ones(size, dtype=torch.bool, device=device)
        no_text = network.encode_text(ids, text_lengths, mask, durations, drop)
    denoiser = GuidedDenoiser(
        network,
        vectors,
        no_text,
        mask,
        prompt,
        prompt_mask,
        guidance_scale,
        temperature,
    )
    x = ddim(denoiser, x, uniform_times(num_steps), schedule)
    tokens = codebook.nearest(x)
    return [
        tokens[i, p:n].cpu()
        for i, (p, n) in enumerate(zip(prompt_lengths.tolist(), num_frames))
    ]
