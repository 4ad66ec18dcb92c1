"""Part `train`: frames a second through loss, gradients and optimizer."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Iterator, List

import torch

from benchmarks.machine import medians
from benchmarks.networks import build
from benchmarks.tables import table
from benchmarks.workload import RATE_HZ, make_workload, mixed_lengths
from espnet_fsqdiff.diffusion import EMA


def precision(device: torch.device, dtype: str) -> AbstractContextManager:
    """Autocast to bfloat16, or nothing."""
    if dtype == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, dtype))


def throughput(
    config: Path,
    frames: int,
    seconds: float,
    device: torch.device,
    dtype: str,
    repeats: int,
) -> List[str]:
    """Row of one configuration.

    Args:
        config: Training configuration.
        frames: Real frames in a batch, about.
        seconds: Longest utterance; the others go down to half of it.
        device: Where to train.
        dtype: float32, or what to autocast to.
        repeats: Steps of which the median is taken.
    """
    parts = build(config)
    network = parts.network.to(device).train()
    codebook = parts.codebook.to(device)
    size = max(1, round(frames / (0.75 * seconds * RATE_HZ)))
    work = make_workload(parts, mixed_lengths(seconds, size), prompt_seconds=0)

    def pad(sequences):
        padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
        return padded.to(device)

    generator = torch.Generator().manual_seed(0)
    tokens = [
        torch.randint(codebook.num_codes, (n,), generator=generator)
        for n in work.num_frames
    ]
    lengths = torch.tensor(work.num_frames, device=device)
    text_lengths = torch.tensor([t.numel() for t in work.text], device=device)
    durations = None if work.durations is None else pad(work.durations)
    tokens, text = pad(tokens), pad(work.text)
    options = dict(parts.config.get("optim_conf", {}), lr=1e-4)
    optimizer = torch.optim.AdamW(network.parameters(), **options)
    average = EMA(network)
    # As ESPnet's trainer: gradients of float16 alone would need scaling.
    clip = parts.config.get("grad_clip", 5.0)

    def step() -> None:
        draw = parts.loss.draw(lengths, tokens.size(1), codebook.dim)
        with precision(device, dtype):
            loss, _ = parts.loss(
                network, codebook, tokens, lengths, text, text_lengths, durations, draw
            )
        optimizer.zero_grad()
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        average.update(network)

    took = medians({"step": step}, repeats)["step"]
    count = sum(p.numel() for p in network.parameters())
    return [
        f"`{config}`",
        f"{count / 1e6:.1f}",
        parts.config.get("head", "joint"),
        dtype,
        f"{sum(work.num_frames)}",
        f"{size}",
        f"{took:.2f}",
        f"{sum(work.num_frames) / took:.0f}",
        f"{sum(work.num_frames) / took / RATE_HZ:.0f}",
    ]


def report(args: argparse.Namespace) -> Iterator[str]:
    """The table of this part."""
    yield (
        "## Training\n\nForward, backward, clipping, AdamW and moving average; frames "
        "without padding, utterances of 5 to 10 s.\n"
    )
    rows = (
        throughput(config, frames, 10.0, args.device, dtype, args.repeats)
        for config, frames in zip(args.train_config, args.train_frames)
        for dtype in args.dtypes
    )
    heads = (
        "configuration|M parameters|head|precision|frames a batch|utterances|s a step|"
        "frames/s|times real time"
    )
    yield from table(heads, rows)
