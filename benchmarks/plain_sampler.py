"""The paper's sampler as one would first write it: the baseline.

One utterance at a time, float32, DDIM with uniform steps; at every step the
text is encoded anew, guidance takes two calls of the network, modulations and
rotations are computed again, and x0_hat is the sum over k of the (B, T, K, n)
product of probabilities and points. The arithmetic is that of the paper; the
weights are taken by name from `CDCDNetwork`, its code is not used, so that
making the package faster leaves the baseline as it is.
"""

import math
from typing import Callable, Dict, Optional

import torch
from torch.nn import functional as F

Weights = Dict[str, torch.Tensor]


def linear(p: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    """The linear layer of that name."""
    return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])


def waves(places: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
    """Outer product (P, R) of places and angular rates."""
    return places.unsqueeze(-1) * rates


def encode_text(p: Weights, ids: torch.Tensor, frames: int) -> torch.Tensor:
    """Symbol ids (S,), filler 0 behind them, to vectors (1, T, text_dim)."""
    ids = F.pad(ids, (0, frames - ids.numel()))
    table = p["text_encoder.text_embed.weight"]
    dim = table.size(1)
    rates = 10000.0 ** (-torch.arange(0, dim, 2, device=ids.device).float() / dim)
    angle = waves(torch.arange(frames, device=ids.device).float(), rates)
    x = (table[ids] + torch.cat([angle.cos(), angle.sin()], -1)).unsqueeze(0)
    i = 0
    while f"text_encoder.text_blocks.{i}.dwconv.weight" in p:
        name = f"text_encoder.text_blocks.{i}"
        weight = p[f"{name}.dwconv.weight"]
        y = F.conv1d(
            x.transpose(1, 2),
            weight,
            p[f"{name}.dwconv.bias"],
            padding=weight.size(-1) // 2,
            groups=dim,
        ).transpose(1, 2)
        y = F.layer_norm(
            y, (dim,), p[f"{name}.norm.weight"], p[f"{name}.norm.bias"], 1e-6
        )
        y = F.gelu(linear(p, f"{name}.pwconv1", y))
        norm = y.norm(dim=1, keepdim=True)
        response = y * norm / (norm.mean(-1, keepdim=True) + 1e-6)
        y = p[f"{name}.grn.gamma"] * response + p[f"{name}.grn.beta"] + y
        x = x + linear(p, f"{name}.pwconv2", y)
        i += 1
    return x


def turn(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotary positions: pairs of channels of x (B, H, T, d), angle (T, d / 2)."""
    angle = angle.repeat_interleave(2, dim=-1)
    swapped = torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2)
    return x * angle.cos() + swapped * angle.sin()


def attend(p: Weights, name: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    """Self-attention over all frames."""
    frames, dim = x.shape[1:]
    size = dim // heads
    rates = 10000.0 ** (-torch.arange(0, size, 2, device=x.device).float() / size)
    angle = waves(torch.arange(frames, device=x.device).float(), rates)

    def project(part: str) -> torch.Tensor:
        return linear(p, f"{name}.to_{part}", x).view(1, frames, heads, size)

    q, k, v = (project(part).transpose(1, 2) for part in "qkv")
    real = torch.ones(1, 1, 1, frames, dtype=torch.bool, device=x.device)
    y = F.scaled_dot_product_attention(
        turn(q, angle), turn(k, angle), v, attn_mask=real
    )
    return linear(p, f"{name}.to_out", y.transpose(1, 2).reshape(1, frames, dim))


def logits_of(
    p: Weights,
    heads: int,
    x: torch.Tensor,
    t: torch.Tensor,
    prompt: torch.Tensor,
    text: torch.Tensor,
) -> torch.Tensor:
    """One call of the network: x and prompt (1, T, n), t (1,) to logits (1, T, K)."""
    size = p["backbone.time_embed.time_mlp.0.weight"].size(1) // 2
    rates = torch.exp(
        -torch.arange(size, device=x.device) * (math.log(10000) / (size - 1))
    )
    angle = waves(1000 * t, rates)
    time = linear(
        p, "backbone.time_embed.time_mlp.0", torch.cat([angle.sin(), angle.cos()], -1)
    )
    time = F.silu(linear(p, "backbone.time_embed.time_mlp.2", F.silu(time)))

    x = linear(p, "backbone.proj", torch.cat([x, prompt, text], -1))
    y = x.transpose(1, 2)
    for layer in ("0", "2"):
        name = f"backbone.conv_pos_embed.conv1d.{layer}"
        weight = p[f"{name}.weight"]
        groups = weight.size(0) // weight.size(1)
        y = F.mish(
            F.conv1d(
                y,
                weight,
                p[f"{name}.bias"],
                padding=weight.size(-1) // 2,
                groups=groups,
            )
        )
    x = x + y.transpose(1, 2)

    def norm(x, shift, scale):
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)

    i = 0
    while f"backbone.blocks.{i}.modulation.weight" in p:
        name = f"backbone.blocks.{i}"
        m = linear(p, f"{name}.modulation", time).chunk(6, dim=-1)
        y = attend(p, f"{name}.attn", norm(x, m[0], m[1]), heads)
        x = x + m[2].unsqueeze(1) * y
        y = F.gelu(linear(p, f"{name}.ff.0", norm(x, m[3], m[4])), approximate="tanh")
        x = x + m[5].unsqueeze(1) * linear(p, f"{name}.ff.3", y)
        i += 1
    scale, shift = linear(p, "backbone.modulation_out", time).chunk(2, dim=-1)
    return linear(p, "head.linear", norm(x, shift, scale))


@torch.no_grad()
def sample_plainly(
    weights: Weights,
    num_heads: int,
    points: torch.Tensor,
    text: torch.Tensor,
    noise: torch.Tensor,
    prompt: Optional[torch.Tensor] = None,
    num_steps: int = 25,
    guidance_scale: float = 0.5,
    prior_std: float = 2 / 3,
    callback: Optional[Callable[[int, torch.Tensor], None]] = None,
) -> torch.Tensor:
    """Tokens of one utterance, by the paper's sampler and schedule.

    Args:
        weights: `state_dict` of a `CDCDNetwork` with the paper's parts: text laid
            as filler, joint head.
        num_heads: Attention heads.
        points: Where the tokens live (K, n).
        text: Symbol ids (S,), at most T.
        noise: Standard normal (T, n).
        prompt: Prompt tokens (P,), P < T.
        num_steps: DDIM steps.
        guidance_scale: w in logits = (1 + w) cond - w uncond.
        prior_std: Standard deviation of the initial noise.
        callback: Called as `callback(step, x0_hat)`.

    Returns:
        Tokens (T - P,), int64.
    """
    frames = noise.size(0)
    known = 0 if prompt is None else prompt.numel()
    clean = torch.zeros_like(noise).unsqueeze(0)
    if known:
        clean[0, :known] = points[prompt]
    x = prior_std * noise.unsqueeze(0)
    times = torch.linspace(1, 0, num_steps + 1, device=x.device)
    for step in range(num_steps):
        t, s = times[step : step + 1], times[step + 1 : step + 2]
        logits = []
        for ids in (text + 1, torch.zeros_like(text)):
            vectors = encode_text(weights, ids, frames)
            logits.append(logits_of(weights, num_heads, x, t, clean, vectors))
        cond, uncond = logits
        p = ((1 + guidance_scale) * cond - guidance_scale * uncond).softmax(-1)
        x0 = (p.unsqueeze(-1) * points).sum(dim=2)
        x0[:, :known] = clean[:, :known]
        if callback is not None:
            callback(step, x0)
        ratio = torch.sqrt(s * (2 - s)) / torch.sqrt(t * (2 - t))
        x = (1 - s) * x0 + ratio * (x - (1 - t) * x0)
    # The nearest point, |x - E_k|^2 over all k.
    distance = (x[0].unsqueeze(1) - points).square().sum(-1)
    return distance.argmin(-1)[known:].cpu()
