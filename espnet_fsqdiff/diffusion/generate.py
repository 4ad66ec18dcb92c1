"""From text and durations to tokens: the denoiser and one call around it."""

import inspect
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from espnet_fsqdiff.checks import check_choice, check_counts, check_shares, check_steps
from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.parts import sample_in_parts
from espnet_fsqdiff.diffusion.samplers import SAMPLERS, ddim
from espnet_fsqdiff.diffusion.schedule import Schedule
from espnet_fsqdiff.diffusion.times import uniform_times
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.kernel_cache import rounded_length
from espnet_fsqdiff.nets.masks import length_mask, pad_batch
from espnet_fsqdiff.option_types import check_options
from espnet_fsqdiff.threads import map_at_once, workers_on

PRECISIONS = {
    "float32": None,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
ROWS = 128  # of logits at a time: they stay in the cache
# What `generate` itself gives a sampler: no options.
GIVEN_TO_SAMPLERS = (*inspect.signature(ddim).parameters, "normal", "nearest")
TIME_GRIDS = ("uniform", "information")


@dataclass(frozen=True)
class Sampling:
    """How tokens are sampled; the defaults are those of arXiv 2606.09962.

    Attributes:
        num_steps: Steps of the time grid.
        sampler: One of `SAMPLERS`.
        sampler_conf: Further arguments of the sampler.
        time_grid: `uniform`, or `information`: equal steps of the model's own
            cross-entropy.
        guidance_scale: w of `GuidedDenoiser`; 0 saves its second network call.
        guidance_interval: Lowest and highest t with guidance; elsewhere w = 0,
            which saves the second call there (Kynkaanniemi et al., 2024).
        prior_std: Standard deviation of the initial noise.
        temperature: Divides the logits.
        precision: `float32`, or `bfloat16` or `float16` for the network alone.
        max_frames: Frames, padding included, in one call of the network; a
            batch of more is sampled in parts of like lengths. None for the
            default: on a CPU that of `frames_of_parts`, elsewhere any number.
        workers: On a CPU, parts sampled at once, each with its share of the
            threads; a part alone shares them between the network's two calls.
            As many as torch has threads if None.

    Raises:
        InputError: If a name is unknown or a figure out of range.
    """

    num_steps: int = 25
    sampler: str = "ddim"
    sampler_conf: Dict[str, Any] = field(default_factory=dict)
    time_grid: str = "uniform"
    guidance_scale: float = 0.5
    guidance_interval: Tuple[float, float] = (0.0, 1.0)
    prior_std: float = 2 / 3
    temperature: float = 1.0
    precision: str = "float32"
    max_frames: Optional[int] = None
    workers: Optional[int] = None

    def __post_init__(self):
        for name, known in (
            ("sampler", SAMPLERS),
            ("time_grid", TIME_GRIDS),
            ("precision", PRECISIONS),
        ):
            check_choice(name, getattr(self, name), known)
        conf = check_options(
            "sampler_conf",
            SAMPLERS[self.sampler],
            self.sampler_conf,
            given=GIVEN_TO_SAMPLERS,
        )
        shares = {name: conf[name] for name in ("eta", "below") if name in conf}
        check_shares("sampler_conf", **shares)
        if conf.get("noise_std", 0) < 0:
            raise InputError(
                f"sampler_conf: noise_std is {conf['noise_std']}; give at least 0"
            )
        check_steps(self.num_steps)
        check_counts(max_frames=self.max_frames, workers=self.workers)
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}; give more than 0")
        low, high = self.guidance_interval
        if not 0 <= low <= high <= 1:
            raise InputError(
                f"guidance_interval is {low} to {high}; give two times from 0 to 1"
            )


def workers_of(network: CDCDNetwork, sampling: Sampling) -> int:
    """Calls of the network at once: on a CPU, as many as there are threads for."""
    if network.compiled:
        # Compiled code keeps to the number of threads of its first call.
        return 1
    return workers_on(next(network.parameters()).device, sampling.workers)


class GuidedDenoiser:
    """Clean estimate under text, prompt, guidance and temperature.

    logits = (1 + w) cond - w uncond, where `uncond` has seen no text; the
    estimate on the prompt's frames is the prompt itself. A network with
    self-conditioning is given the estimate of the call before.

    Args:
        network: Gives the logits.
        text: Text vectors (B, T, text_dim).
        no_text: Those of withheld text; None where there is no guidance.
        mask: True on real frames (B, T).
        prompt: Clean latents on the prompt's frames, else zeros (B, T, n).
        prompt_mask: True on the prompt's frames (B, T).
        sampling: Guidance, temperature, precision.
    """

    def __init__(
        self,
        network: CDCDNetwork,
        text: torch.Tensor,
        no_text: Optional[torch.Tensor],
        mask: torch.Tensor,
        prompt: torch.Tensor,
        prompt_mask: torch.Tensor,
        sampling: Sampling,
    ):
        self.network = network
        self.mask = mask
        self.prompt = prompt
        self.prompt_mask = prompt_mask.unsqueeze(-1)
        self.wanted = mask & ~prompt_mask
        self.sampling = sampling
        self.texts = [text] if no_text is None else [text, no_text]
        self.estimate: Optional[torch.Tensor] = None

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x (B, T, n) at time t (scalar) to x0_hat (B, T, n)."""
        low, high = self.sampling.guidance_interval
        guided = len(self.texts) == 2 and low <= float(t) <= high
        texts = self.texts if guided else self.texts[:1]
        estimate = self.estimate if self.network.self_conditioning else None

        def features(text: torch.Tensor) -> torch.Tensor:
            n = text.size(0) // x.size(0)
            return self.network.features(
                x.repeat(n, 1, 1),
                t.to(x).expand(text.size(0)),
                self.prompt.repeat(n, 1, 1),
                text,
                self.mask.repeat(n, 1),
                None if estimate is None else estimate.repeat(n, 1, 1),
            ).float()

        if workers_of(self.network, self.sampling) > 1:
            found = map_at_once(features, texts, workers=2)
        else:
            found = features(torch.cat(texts)).chunk(len(texts))
        mixed = found[0]
        if guided:
            # The heads are linear: mixing features is mixing logits.
            mixed = mixed + self.sampling.guidance_scale * (mixed - found[1])
        # Only frames to be sampled go through the head, a few at a time.
        rows = mixed[self.wanted]
        x0 = torch.zeros_like(x)
        x0[self.wanted] = torch.cat(
            [
                self.network.posterior_mean(part, self.sampling.temperature)
                for part in rows.split(ROWS)
            ]
        )
        self.estimate = torch.where(self.prompt_mask, self.prompt, x0)
        return self.estimate


def generate(
    network: CDCDNetwork,
    codebook: Codebook,
    schedule: Schedule,
    text: Sequence[torch.Tensor],
    num_frames: Sequence[int],
    durations: Optional[Sequence[torch.Tensor]] = None,
    prompts: Optional[Sequence[Optional[torch.Tensor]]] = None,
    seeds: Optional[Sequence[int]] = None,
    sampling: Sampling = Sampling(),
    times: Optional[torch.Tensor] = None,
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
        seeds: Of the noise, one per utterance; 0, 1, 2, ... by default.
        sampling: Sampler, guidance, precision.
        times: Time grid (num_steps + 1,) from 1 to 0; uniform if None.

    Returns:
        Tokens (num_frames - P,), int64, of each utterance on the CPU.

    Raises:
        InputError: If a prompt is longer than its utterance, durations do not
            add up, a text without durations is longer than its frames, `times` is
            missing for an information grid, the network has no such precision, or
            its estimates are not finite.
    """
    device = next(network.parameters()).device
    size = len(text)
    seeds = range(size) if seeds is None else seeds
    prompts = [None] * size if prompts is None else prompts
    prompts = [torch.zeros(0) if p is None else torch.as_tensor(p) for p in prompts]
    _check(text, num_frames, prompts, durations)
    if network.only_float32 and sampling.precision != "float32":
        raise InputError(
            f"precision {sampling.precision}: this backend computes in float32; leave "
            "the option out"
        )
    if times is None:
        if sampling.time_grid != "uniform":
            raise InputError(
                f"time_grid {sampling.time_grid} needs the model's own times; "
                "give times, or use time_grid uniform"
            )
        times = uniform_times(sampling.num_steps)

    # Few lengths, see `kernel_cache`.
    rounds = device.type == "cpu" and not network.sees_padding
    padded = num_frames
    if rounds:
        padded = [rounded_length(n, network.max_frames) for n in num_frames]

    def sample(*inputs) -> List[torch.Tensor]:
        return _generate(network, codebook, schedule, *inputs, sampling, times, rounds)

    return sample_in_parts(
        sample,
        (text, num_frames, prompts, seeds, durations),
        padded,
        device,
        workers_of(network, sampling),
        sampling.max_frames,
    )


@torch.no_grad()
def _generate(
    network: CDCDNetwork,
    codebook: Codebook,
    schedule: Schedule,
    text: List[torch.Tensor],
    num_frames: List[int],
    prompts: List[torch.Tensor],
    seeds: List[int],
    durations: Optional[List[torch.Tensor]],
    sampling: Sampling,
    times: torch.Tensor,
    rounds: bool,
) -> List[torch.Tensor]:
    """`generate` for utterances that fit into one call of the network.

    Args:
        rounds: Whether to round lengths up.
    """
    size, device = len(text), next(network.parameters()).device
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    longest = max(num_frames)
    if rounds:
        longest = rounded_length(longest, network.max_frames)

    def normal(like: Optional[torch.Tensor] = None) -> torch.Tensor:
        noise = [
            torch.randn(n, codebook.dim, generator=generator)
            for n, generator in zip(num_frames, generators)
        ]
        return pad_batch(noise, longest).to(device)

    x = sampling.prior_std * normal()
    mask = length_mask(torch.tensor(num_frames), x.size(1)).to(device)
    prompt_lengths = torch.tensor([p.numel() for p in prompts])
    prompt_mask = length_mask(prompt_lengths, x.size(1)).to(device)
    prompt = torch.zeros_like(x)
    for i, p in enumerate(prompts):
        if p.numel():
            prompt[i, : p.numel()] = codebook.embed(p.long().to(device))

    symbols = max(len(t) for t in text)
    if durations is not None:
        symbols = rounded_length(symbols) if rounds else symbols
        durations = pad_batch(durations, symbols).to(device)
    ids = pad_batch([torch.as_tensor(t) for t in text], symbols).to(device)
    text_lengths = torch.tensor([len(t) for t in text], device=device)
    dtype = PRECISIONS[sampling.precision]
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        vectors = network.encode_text(ids, text_lengths, mask, durations)
        no_text = None
        if sampling.guidance_scale != 0:
            drop = torch.ones(size, dtype=torch.bool, device=device)
            no_text = network.encode_text(ids, text_lengths, mask, durations, drop)
        denoiser = GuidedDenoiser(
            network, vectors, no_text, mask, prompt, prompt_mask, sampling
        )
        conf = dict(sampling.sampler_conf)
        if sampling.sampler == "churn":
            conf = {"normal": normal, "noise_std": sampling.prior_std, **conf}
        if sampling.sampler == "hard_rounding":
            conf = {"nearest": lambda y: codebook.embed(codebook.nearest(y)), **conf}
        x = SAMPLERS[sampling.sampler](denoiser, x, times.cpu(), schedule, **conf)
    if not torch.isfinite(x[mask]).all():
        raise InputError(
            "the model makes numbers that are not finite; check its weights, or sample "
            "in float32"
        )
    tokens = codebook.nearest(x)
    return [
        tokens[i, p:n].cpu()
        for i, (p, n) in enumerate(zip(prompt_lengths.tolist(), num_frames))
    ]


def _check(text, num_frames, prompts, durations) -> None:
    """Refuse texts, prompts and durations that do not fit the frames."""
    for i, (frames, prompt) in enumerate(zip(num_frames, prompts)):
        if prompt.numel() >= frames:
            raise InputError(
                f"utterance {i}: a prompt of {prompt.numel()} tokens leaves none of "
                f"{frames} frames; give a shorter prompt"
            )
        if durations is None and len(text[i]) > frames:
            raise InputError(
                f"utterance {i}: a text of {len(text[i])} symbols is longer than its "
                f"frames can hold, {frames}; give a lower speed or less text"
            )
        if durations is not None and int(durations[i].sum()) != frames:
            raise InputError(
                f"utterance {i}: its durations make {int(durations[i].sum())} frames, "
                f"not {frames}"
            )
