"""From tokens to mels: guidance, prompts, and one call around the solver."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

import torch

from espnet_fsqdiff.checks import check_choice, check_counts, check_steps
from espnet_fsqdiff.diffusion.generate import PRECISIONS
from espnet_fsqdiff.diffusion.parts import sample_in_parts
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow.network import Condition, VelocityNetwork
from espnet_fsqdiff.flow.path import TIME_WARPS, time_grid, velocity
from espnet_fsqdiff.flow.solvers import SOLVERS
from espnet_fsqdiff.kernel_cache import rounded_length
from espnet_fsqdiff.nets.masks import length_mask, pad_batch
from espnet_fsqdiff.threads import map_at_once, workers_on


@dataclass(frozen=True)
class FlowSampling:
    """How mels are sampled; the defaults are those of CosyVoice 2.

    Attributes:
        num_steps: Steps of the time grid.
        solver: One of `SOLVERS`.
        time_warp: One of `TIME_WARPS`, see `time_grid`.
        guidance_scale: w of `GuidedVelocity`; 0 saves its second network call.
        temperature: Standard deviation of the initial noise.
        precision: `float32`, or `bfloat16` or `float16` for the network alone.
        max_frames: Mel frames, padding included, in one call of the network; a batch
            of more is sampled in parts of like lengths. None for the default: on a
            CPU that of `frames_of_parts`, elsewhere any number.
        workers: On a CPU, parts sampled at once, each with its share of the threads.
            As many as torch has threads if None.

    Raises:
        InputError: If a name is unknown or a figure out of range.
    """

    num_steps: int = 10
    solver: str = "euler"
    time_warp: str = "cosine"
    guidance_scale: float = 0.7
    temperature: float = 1.0
    precision: str = "float32"
    max_frames: Optional[int] = None
    workers: Optional[int] = None

    def __post_init__(self):
        for name, known in (
            ("solver", SOLVERS),
            ("time_warp", TIME_WARPS),
            ("precision", PRECISIONS),
        ):
            check_choice(name, getattr(self, name), known)
        check_steps(self.num_steps)
        check_counts(max_frames=self.max_frames, workers=self.workers)
        if not self.temperature >= 0:
            raise InputError(f"temperature is {self.temperature}; give 0 or more")


class GuidedVelocity:
    """Velocity under guidance and prompts.

        v = (1 + w) v_cond - w v_uncond

    (Ho and Salimans, 2022), where `uncond` has seen neither tokens nor speaker nor
    prompt. A prompt's frames move along their own path, which is known.

    Args:
        network: Gives the velocity.
        condition: Tokens, speaker, prompt.
        no_condition: What withholds them; None where there is no guidance.
        given: True on the prompt's frames (B, F).
        known: Velocity of those (B, F, n_mels).
        sampling: Guidance.
        workers: Network calls at once; with 1 the two are one, of twice the batch.
    """

    def __init__(
        self,
        network: VelocityNetwork,
        condition: Condition,
        no_condition: Optional[Condition],
        given: torch.Tensor,
        known: torch.Tensor,
        sampling: FlowSampling,
        workers: int = 1,
    ):
        self.network = network
        self.conditions = [condition]
        if no_condition is not None:
            self.conditions.append(no_condition)
        if workers < 2:  # all in one call
            joined = (torch.cat(values) for values in zip(*self.conditions))
            self.conditions = [Condition(*joined)]
        self.guided = no_condition is not None
        self.given = given.unsqueeze(-1)
        self.known = known
        self.guidance_scale = sampling.guidance_scale
        self.workers = workers

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x (B, F, n_mels) at time t (scalar) to dx/dt of the same shape."""

        def call(condition: Condition) -> torch.Tensor:
            n = condition.mask.size(0)
            return self.network(
                x.repeat(n // x.size(0), 1, 1), t.to(x).expand(n), condition
            )

        found = torch.cat(map_at_once(call, self.conditions, self.workers))
        v = found[: x.size(0)]
        if self.guided:
            v = v + self.guidance_scale * (v - found[x.size(0) :])
        return torch.where(self.given, self.known, v)


def generate(
    network: VelocityNetwork,
    tokens: Sequence[torch.Tensor],
    prompts: Optional[Sequence[Optional[torch.Tensor]]] = None,
    spk_embed: Optional[Sequence[torch.Tensor]] = None,
    seeds: Optional[Sequence[int]] = None,
    sampling: FlowSampling = FlowSampling(),
    sigma_min: float = 0.0,
) -> List[torch.Tensor]:
    """Sample mels for a batch; each utterance gets what it would get alone.

    Args:
        network: Trained network, in eval mode.
        tokens: (T,) of each utterance, its prompt's included.
        prompts: Log-mel (P, n_mels) of the beginning of each, or None.
        spk_embed: Speaker embedding (D,) of each, for a network with them.
        seeds: Of the noise, one per utterance; 0, 1, 2, ... by default.
        sampling: Solver, steps, guidance.
        sigma_min: That of the training.

    Returns:
        Log-mel (T * frames_per_token, n_mels), float32, of each, on the CPU; its
        first P frames are the prompt.

    Raises:
        InputError: If an utterance has no tokens, unknown ones or too many, a prompt
            is no beginning of a mel, or speaker embeddings are missing, not wanted
            or of another size.
    """
    size = len(tokens)
    prompts = [None] * size if prompts is None else list(prompts)
    seeds = list(range(size)) if seeds is None else list(seeds)
    given = dict(prompts=prompts, seeds=seeds, spk_embed=spk_embed)
    for name, rows in given.items():
        if rows is not None and len(rows) != size:
            raise InputError(
                f"{name} are {len(rows)} for {size} utterances; give one for each"
            )
    num_frames = [len(row) * network.frames_per_token for row in tokens]
    _check(network, num_frames, prompts, spk_embed)

    def sample(*inputs) -> List[torch.Tensor]:
        return _generate(network, *inputs, sampling, sigma_min)

    device = network.mel_mean.device
    per_token = network.frames_per_token
    return sample_in_parts(
        sample,
        (tokens, prompts, spk_embed, seeds),
        [_padded_length(network, len(row)) * per_token for row in tokens],
        device,
        workers_on(device, sampling.workers),
        sampling.max_frames,
    )


def _padded_length(network: VelocityNetwork, length: int) -> int:
    """Tokens, padding included: on a CPU few lengths, see `kernel_cache`."""
    if network.mel_mean.device.type != "cpu":
        return length
    return rounded_length(length, network.max_frames // network.frames_per_token)


@torch.no_grad()
def _generate(network, tokens, prompts, spk_embed, seeds, sampling, sigma_min):
    """`generate` for utterances that fit into one call of the network."""
    device, size = network.mel_mean.device, len(tokens)
    lengths = torch.tensor([len(row) for row in tokens], device=device)
    longest = _padded_length(network, max(len(row) for row in tokens))
    ids = pad_batch([row.long() for row in tokens], longest).to(device)
    if spk_embed is not None:
        spk_embed = torch.stack([row.float() for row in spk_embed]).to(device)
    num_frames = (lengths * network.frames_per_token).tolist()
    noise = pad_batch(
        [
            torch.randn(n, network.n_mels, generator=torch.Generator().manual_seed(s))
            for n, s in zip(num_frames, seeds)
        ],
        longest * network.frames_per_token,
    ).to(device)
    x = sampling.temperature * noise
    prompt = torch.zeros_like(x)
    for i, mel in enumerate(prompts):
        if mel is not None:
            prompt[i, : len(mel)] = network.standardise(mel.to(device).float())
    sizes = torch.tensor([0 if mel is None else len(mel) for mel in prompts])
    given = length_mask(sizes, x.size(1)).to(device)

    dtype = PRECISIONS[sampling.precision]
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        condition = network.condition(ids, lengths, spk_embed, prompt)
        no_condition = None
        if sampling.guidance_scale != 0:
            drop = torch.ones(size, dtype=torch.bool, device=device)
            no_condition = network.condition(ids, lengths, spk_embed, prompt, drop)
        guided = GuidedVelocity(
            network,
            condition,
            no_condition,
            given,
            velocity(x, prompt, sigma_min),
            sampling,
            workers_on(device, sampling.workers),
        )
        times = time_grid(sampling.num_steps, sampling.time_warp)
        x = SOLVERS[sampling.solver](guided, x, times)
    mel = network.restore(torch.where(given.unsqueeze(-1), prompt, x)).float().cpu()
    return [row[:n] for row, n in zip(mel, num_frames)]


def _check(network, num_frames, prompts, spk_embed) -> None:
    """Refuse what the network cannot be asked."""
    size = network.spk_embed_dim
    if (spk_embed is None) != (size is None):
        raise InputError(
            "this model takes no speaker embeddings; leave them out"
            if size is None
            else f"this model needs a speaker embedding of size {size}; give spk_embed"
        )
    for i, (frames, prompt) in enumerate(zip(num_frames, prompts)):
        if frames == 0:
            raise InputError(f"utterance {i}: it has no tokens; give at least one")
        if prompt is not None:
            if prompt.ndim != 2 or prompt.size(1) != network.n_mels:
                raise InputError(
                    f"utterance {i}: its prompt mel has shape {tuple(prompt.shape)}; "
                    f"give (frames, {network.n_mels})"
                )
            if len(prompt) >= frames:
                raise InputError(
                    f"utterance {i}: a prompt of {len(prompt)} mel frames leaves none "
                    f"of {frames}; give a shorter prompt"
                )
        if size is not None and tuple(spk_embed[i].shape) != (size,):
            raise InputError(
                f"utterance {i}: its speaker embedding has shape "
                f"{tuple(spk_embed[i].shape)}; give ({size},)"
            )
