"""Part `sampler`: the package's sampler against the plain one."""

import argparse
import copy
from itertools import chain
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import torch

from benchmarks.machine import medians, run_fresh
from benchmarks.networks import Parts, build
from benchmarks.plain_sampler import sample_plainly
from benchmarks.tables import share, table
from benchmarks.workload import RATE_HZ, Workload, make_workload, mixed_lengths
from espnet_fsqdiff.diffusion import Sampling, generate

BASELINE_STEPS = 25


def compiled(parts: Parts) -> Parts:
    """The same network with its backbone through `torch.compile`."""
    network = copy.deepcopy(parts.network)
    network.compile_backbone()
    return parts._replace(network=network)


def ours(
    parts: Parts, work: Workload, steps: int, dtype: str = "float32", **options: Any
) -> List[torch.Tensor]:
    """Tokens of a batch, from the package; options are fields of `Sampling`."""
    return generate(
        parts.network,
        parts.codebook,
        parts.schedule,
        work.text,
        work.num_frames,
        work.durations,
        work.prompts,
        seeds=work.seeds,
        sampling=Sampling(num_steps=steps, precision=dtype, **options),
    )


def plain(parts: Parts, work: Workload, steps: int) -> List[torch.Tensor]:
    """Tokens of a batch, from the plain sampler, one utterance at a time."""
    device = next(parts.network.parameters()).device
    weights = parts.network.state_dict()
    points = parts.codebook.points.to(device)
    tokens = []
    for text, frames, prompt, seed in zip(
        work.text, work.num_frames, work.prompts, work.seeds
    ):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(frames, parts.codebook.dim, generator=generator)
        tokens.append(
            sample_plainly(
                weights,
                parts.config["backbone_conf"]["num_heads"],
                points,
                text.to(device),
                noise.to(device),
                prompt.to(device),
                num_steps=steps,
            )
        )
    return tokens


def products(parts: Parts, work: Workload, steps: int) -> Callable[[], None]:
    """The matrix products of `ours` and nothing else: how fast it could be at best.

    Those of the backbone's linear layers and convolutions, with and without text.

    Returns:
        Does them all, on inputs of the same shapes.
    """
    calls: List[Tuple[torch.nn.Module, torch.Tensor]] = []
    kinds = (torch.nn.Linear, torch.nn.Conv1d)
    hooks = [
        module.register_forward_pre_hook(lambda m, x: calls.append((m, x[0].clone())))
        for module in parts.network.backbone.modules()
        if isinstance(module, kinds)
    ]
    ours(parts, work, 1, workers=1)
    for hook in hooks:
        hook.remove()

    @torch.no_grad()
    def run():
        for _ in range(steps):
            for module, x in calls:
                module(x)

    return run


def equal_share(tokens: List[torch.Tensor], reference: List[torch.Tensor]) -> float:
    """Share of tokens that are the reference's."""
    return float((torch.cat(tokens) == torch.cat(reference)).float().mean())


def single(
    parts: Parts,
    fast: Optional[Parts],
    seconds: float,
    args: argparse.Namespace,
    seen: Dict[str, float],
) -> Iterator[List[str]]:
    """Rows of one utterance alone; the seconds of each go to `seen`.

    Args:
        parts: The network.
        fast: The compiled one, or None.
        seconds: Of speech.
        args: Options of the command.
        seen: Filled with `<seconds> <way> <steps> <dtype> <options>`.
    """
    work = make_workload(parts, [seconds])
    kinds = [(dtype, {}) for dtype in args.dtypes]
    kinds += [("float32", options) for options in args.sampler_conf]
    ways = {"ours": parts, **({"compiled": fast} if fast else {})}
    settings = [
        (way, steps, dtype, options)
        for way in ways
        for dtype, options in kinds
        for steps in args.num_steps
    ]
    tokens: Dict[str, List[torch.Tensor]] = {}

    def keep(name, function, parts, *arguments, **options):
        def call():
            tokens[name] = function(parts, work, *arguments, **options)

        return call

    calls = {"plain": keep("plain", plain, parts, BASELINE_STEPS)}
    for way, steps, dtype, options in settings:
        name = f"{way} {steps} {dtype} {options}"
        calls[name] = keep(name, ours, ways[way], steps, dtype, **options)
    calls["products"] = products(parts, work, BASELINE_STEPS)
    plain(parts, work, 1)
    for way in ways:
        for dtype, options in kinds:
            # Several steps: with and without guidance, if there is an interval.
            ours(ways[way], work, 2, dtype, **options)
    times = medians(calls, args.repeats, warmup=0)
    seen.update({f"{seconds} {name}": s for name, s in times.items()})

    def row(what, dtype, steps, name, reference=None):
        return [
            f"{seconds:g}",
            what,
            dtype,
            f"{steps}",
            f"{times[name]:.2f}",
            f"{times[name] / seconds:.3f}",
            f"{times['plain'] / times[name]:.2f}",
            share(equal_share(tokens[name], tokens[reference])) if reference else "",
        ]

    yield row("plain", "float32", BASELINE_STEPS, "plain", "plain")
    yield row("matrix products alone", "float32", BASELINE_STEPS, "products")
    for way, steps, dtype, options in settings:
        name = f"{way} {steps} {dtype} {options}"
        # Other steps mean other tokens: compared with ours in float32.
        reference = "plain" if steps == BASELINE_STEPS else f"ours {steps} float32 {{}}"
        if reference not in tokens:
            reference = name
        what = way + (f", {options}" if options else "")
        yield row(what, dtype, steps, name, reference)


def batched(
    parts: Parts, seconds: float, dtype: str, args: argparse.Namespace
) -> List[str]:
    """Row of a batch of mixed lengths against the same utterances one by one."""
    work = make_workload(parts, mixed_lengths(seconds, args.batch_size))
    steps = min(args.num_steps)

    def one_by_one():
        for i in range(args.batch_size):
            ours(parts, work.one(i), steps, dtype)

    ours(parts, work, 1, dtype)
    times = medians(
        {"alone": one_by_one, "batch": lambda: ours(parts, work, steps, dtype)},
        args.repeats,
        warmup=0,
    )
    return [
        f"{seconds / 2:g}-{seconds:g}",
        dtype,
        f"{args.batch_size}",
        f"{steps}",
        share(work.waste),
        f"{work.new_frames / times['alone']:.0f}",
        f"{work.new_frames / times['batch']:.0f}",
        f"{times['alone'] / times['batch']:.2f}",
        f"{times['batch'] * RATE_HZ / work.new_frames:.3f}",
    ]


def report(args: argparse.Namespace, seen: Dict[str, float]) -> Iterator[str]:
    """The tables of this part; the seconds of single utterances go to `seen`."""
    parts = build(args.config)
    parts.network.to(args.device)
    parts.codebook.to(args.device)
    count = sum(p.numel() for p in parts.network.parameters())
    yield (
        f"## Sampler\n\n`{args.config}`, {count / 1e6:.1f} M parameters, random "
        "weights; speech after a prompt of 3 s.\n"
    )
    heads = "speech s|sampler|precision|steps|s|RTF|times plain|tokens equal"
    fast = compiled(parts) if args.compile else None
    singles = (single(parts, fast, seconds, args, seen) for seconds in args.seconds)
    yield from table(heads, chain.from_iterable(singles))
    rows = (
        batched(parts, seconds, dtype, args)
        for seconds in args.seconds
        for dtype in args.dtypes
    )
    heads = (
        "speech s|precision|batch|steps|padding|frames/s alone|"
        "frames/s batch|ratio|RTF in batch"
    )
    yield from table(heads, rows)
    if args.device.type == "cpu":
        peak = run_fresh(
            "benchmarks.memory",
            *("--config", str(args.config), "--seconds", str(max(args.seconds))),
            *("--threads", str(torch.get_num_threads())),
        )
        yield (
            f"Peak resident memory of {max(args.seconds):g} s of speech, in a process "
            f"of its own: {float(peak):.2f} GB (ours, float32).\n"
        )
    else:
        work = make_workload(parts, [max(args.seconds)])
        torch.cuda.reset_peak_memory_stats()
        ours(parts, work, min(args.num_steps))
        peak = torch.cuda.max_memory_allocated() / 1e9
        yield (
            f"Peak memory of the GPU for {max(args.seconds):g} s of speech: "
            f"{peak:.2f} GB (ours, float32).\n"
        )
