"""What a training at scale costs, from its configuration and what is counted here.

    python -m benchmarks.scaling conf/train_cdcd_paper.yaml --hours 65000

Floating-point operations and memory for gradients are counted by running the training
step of one utterance; bytes on disk by merging random tokens as stage 7 does. Times on
accelerators are the operations over the printed peak times an assumed utilisation, and
are called so.
"""

import argparse
import tempfile
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import Parts, build
from benchmarks.tables import table
from benchmarks.workload import RATE_HZ, make_workload
from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.extraction import merge
from espnet_fsqdiff.shards import CHUNK_SIZE, Chunk, deal

# Dense peak in TFLOP/s: the makers' data sheets (A100 and H100 SXM with float32 sums;
# V100 SXM2, which has no bfloat16, the only half precision that ESPnet's trainer takes
# where torch has it, by emulation too).
PEAK_TFLOPS = {"V100, float32": 15.7, "A100, bfloat16": 312.0, "H100, bfloat16": 989.0}
SYMBOLS_HZ = 15.0  # characters of read English, roughly
# Weights, gradients and moving average in float32, two moments of AdamW.
BYTES_PER_PARAMETER = 4 + 4 + 4 + 8


class StepCost(NamedTuple):
    """What the training step of one utterance takes.

    Attributes:
        num_frames: Its frames.
        flops: Floating-point operations, forward and backward.
        saved_bytes: Tensors kept for the gradients, in float32.
        parameters: Trained parameters.
    """

    num_frames: int
    flops: int
    saved_bytes: int
    parameters: int


class Plan(NamedTuple):
    """A whole training.

    Attributes:
        updates: Steps of the optimizer.
        frames_per_update: Frames of all processes.
        frames: All frames seen.
        epochs: Times that each frame of the corpus is seen.
        flops: Floating-point operations.
    """

    updates: int
    frames_per_update: int
    frames: int
    epochs: float
    flops: float

    def hours(self, peak_tflops: float, num_gpus: int, utilisation: float) -> float:
        """flops / (num_gpus * peak * utilisation), in hours."""
        return self.flops / (num_gpus * peak_tflops * 1e12 * utilisation) / 3600


@contextmanager
def count_saved(module: nn.Module) -> Iterator[Dict[int, int]]:
    """Bytes of what autograd keeps, by storage; parameters are left out."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    seen: Dict[int, int] = {}
    kept = []  # or a freed storage's address would count for another

    def pack(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield seen


def step_cost(parts: Parts, seconds: float) -> StepCost:
    """Count the training step of one utterance.

    Args:
        parts: The network.
        seconds: Length of the utterance.
    """
    network = parts.network.train()
    work = make_workload(parts, [seconds], prompt_seconds=0)
    frames = work.num_frames[0]
    lengths = torch.tensor([frames])
    text = work.text[0][None]
    durations = None if work.durations is None else work.durations[0][None]
    generator = torch.Generator().manual_seed(0)
    num_codes = parts.codebook.num_codes
    tokens = torch.randint(num_codes, (1, frames), generator=generator)
    draw = parts.loss.draw(lengths, frames, parts.codebook.dim)

    def loss() -> torch.Tensor:
        text_lengths = torch.tensor([text.size(1)])
        value, _ = parts.loss(
            network,
            parts.codebook,
            tokens,
            lengths,
            text,
            text_lengths,
            durations,
            draw,
        )
        return value.mean()

    with count_saved(network) as saved:
        loss()
    # Written out as matrix products, attention is counted too.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss().backward()
    return StepCost(
        frames,
        counter.get_total_flops(),
        sum(saved.values()),
        sum(p.numel() for p in network.parameters()),
    )


def make_plan(config: Dict, cost: StepCost, num_gpus: int, hours: float) -> Plan:
    """Extend a step to the training of a configuration.

        frames = max_epoch * num_iters_per_epoch * batch_bins * num_gpus
        flops  = frames * (operations of the step / its frames)

    Args:
        config: Training configuration, its `batch_bins` for one GPU. (ESPnet counts
            that option over all: give it `num_gpus` times as much.)
        cost: Of one step.
        num_gpus: Processes.
        hours: Speech in the corpus.
    """
    updates = config["max_epoch"] * config["num_iters_per_epoch"]
    per_update = config["batch_bins"] * num_gpus
    frames = updates * per_update
    return Plan(
        updates,
        per_update,
        frames,
        frames / (hours * 3600 * RATE_HZ),
        frames * (cost.flops / cost.num_frames),
    )


def disk_bytes(num_utterances: int = 1000, seconds: float = 10.0) -> Dict[str, float]:
    """Bytes a token that stage 7 leaves on disk, by file.

    Random tokens, and durations of random texts, are merged as it merges them, under
    names of usual length. Counts and statistics, of one size for any set, are left out.

    Args:
        num_utterances: Utterances of the set.
        seconds: Length of each.
    """
    frames, symbols = round(seconds * RATE_HZ), round(seconds * SYMBOLS_HZ)
    rng = np.random.default_rng(0)
    utts = [f"speaker0000-utterance{i:08d}" for i in range(num_utterances)]
    out = Path("dump/tokens/train_tokenizer/train")
    chunks = []
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for job, number, some in deal(utts, num_jobs=1, chunk_size=CHUNK_SIZE):
            ark = out / f"tokens.{job}.{number}.ark"
            chunk = Chunk(ark, job, some, lambda: "0" * 64)
            tokens = {utt: rng.integers(0, 6561, frames) for utt in some}
            durations = {}
            for utt in some:  # at least one frame for each symbol
                ends = 1 + rng.choice(frames - 1, symbols - 1, replace=False)
                ends = np.concatenate([[0], np.sort(ends), [frames]])
                durations[utt] = np.diff(ends).tolist()
            chunk.write_note(
                rate_hz=RATE_HZ,
                num_codes=6561,
                offsets=write_ark(ark, tokens),
                durations=durations,
            )
            chunks.append(chunk)
        merge({out: chunks})
        sizes: Dict[str, int] = {}
        for path in sorted(out.iterdir()):
            if path.name in ("counts.txt", "stats.json"):
                continue
            many = path.name.count(".") > 1  # one of each chunk
            name = f"tokens.*{path.suffix}" if many else path.name
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return {name: size / (num_utterances * frames) for name, size in sizes.items()}


def report(args: argparse.Namespace) -> Iterator[str]:
    """Lines of the tables."""
    parts = build(args.config)
    costs = [step_cost(parts, seconds) for seconds in args.seconds]
    cost = costs[0]
    plan = make_plan(parts.config, cost, args.num_gpus, args.hours)
    yield f"`{args.config}`: {cost.parameters / 1e6:.1f} M parameters\n"

    yield from table(
        "utterance (s)|MFLOP a frame|of 6 x parameters|KB a frame for gradients",
        [
            [
                f"{c.num_frames / RATE_HZ:.0f}",
                f"{c.flops / c.num_frames / 1e6:.0f}",
                f"{c.flops / c.num_frames / (6 * c.parameters):.2f}",
                f"{c.saved_bytes / c.num_frames / 1e3:.0f}",
            ]
            for c in costs
        ],
    )
    state = cost.parameters * BYTES_PER_PARAMETER / 1e9
    saved = cost.saved_bytes / cost.num_frames * parts.config["batch_bins"] / 1e9
    per_token = disk_bytes()
    on_disk = args.hours * 3600 * RATE_HZ * sum(per_token.values()) / 1e9
    yield from table(
        "of the whole|",
        [
            ["updates", f"{plan.updates:,}"],
            ["frames an update, all processes", f"{plan.frames_per_update:,}"],
            ["frames", f"{plan.frames:.3g}"],
            [f"epochs of {args.hours:,.0f} h", f"{plan.epochs:.1f}"],
            ["FLOP", f"{plan.flops:.3g}"],
            ["weights, gradients, optimizer, moving average (GB)", f"{state:.2f}"],
            ["for gradients of a batch, float32 (GB)", f"{saved:.1f}"],
            *([f"bytes a token in {k}", f"{v:.2f}"] for k, v in per_token.items()),
            ["bytes a token on disk", f"{sum(per_token.values()):.2f}"],
            [f"tokens of {args.hours:,.0f} h on disk (GB)", f"{on_disk:.1f}"],
        ],
    )
    yield f"{args.num_gpus} GPUs at {args.utilisation:.0%} of their peak (assumed):\n"
    yield from table(
        "GPU|peak TFLOP/s|hours|frames/s of each",
        [
            [
                name,
                f"{peak:g}",
                f"{plan.hours(peak, args.num_gpus, args.utilisation):.0f}",
                f"{peak * 1e12 * args.utilisation * cost.num_frames / cost.flops:,.0f}",
            ]
            for name, peak in PEAK_TFLOPS.items()
        ],
    )


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="Training configuration")
    parser.add_argument("--hours", type=float, default=65000, help="Speech to train on")
    parser.add_argument("--num_gpus", type=int, default=8)
    parser.add_argument(
        "--utilisation", type=float, default=0.3, help="Assumed share of the peak"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        nargs="+",
        default=[10, 5, 20, 40],
        help="Lengths of utterances; the plan is of the first",
    )
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Count, then print the tables."""
    for line in report(get_parser().parse_args(cmd)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
