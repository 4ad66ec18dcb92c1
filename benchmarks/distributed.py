"""The same training in one process and in several, step by step.

    python -m benchmarks.distributed --processes 1 2 4 --steps 50

Trains a small diffusion decoder on made-up tokens, on the CPU over gloo, with the
options by which ESPnet joins processes that something else has started. Times and
noise of an utterance are drawn by its name and the step, so that they are the same
in whatever process it is; dropout is off. All else is the task and its trainer. Prints
how far the losses and the moving average of the weights are from those of the first
number of processes, and how long a step takes.
"""

import argparse
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
import yaml

CONFIG = dict(
    codebook_conf=dict(levels=[3, 3, 3]),
    text_encoder_conf=dict(dim=16, num_layers=1),
    backbone_conf=dict(dim=32, depth=2, num_heads=2, dropout=0.0),
    model_conf=dict(ema_decay=0.9, cpu_autocast="off"),
    optim="adamw",
    optim_conf=dict(lr=1.0e-3),
    scheduler="warmuplr",
    scheduler_conf=dict(warmup_steps=10),
    batch_type="unsorted",
    num_workers=0,
    max_epoch=1,
    best_model_criterion=[["valid", "loss", "min"]],
    keep_nbest_models=1,
    num_att_plot=0,
    use_matplotlib=False,
    use_tensorboard=False,
    resume=True,
)
SYMBOLS = ["<sos/eos>", "<space>", *"abcde"]
PRELOAD = ["espnet2.tasks.abs_task", "espnet_fsqdiff.tasks.cdcd"]
PRELOAD += ["espnet_fsqdiff.tasks.trainer"]


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch_size", type=int, default=8, help="of all together")
    return parser


def write_corpus(root: Path, num_utts: int, seed: int = 0) -> None:
    """Sets `train` and `valid` (8 utterances) of random texts and tokens."""
    from espnet_fsqdiff.arks import write_ark
    from espnet_fsqdiff.data.datadir import write_table
    from espnet_fsqdiff.text.tokenizer import write_token_list

    rng = np.random.default_rng(seed)
    write_token_list(root / "symbols.txt", SYMBOLS)
    for name, size in (("train", num_utts), ("valid", 8)):
        utts = [f"{name}_{i:05d}" for i in range(size)]
        texts = {
            u: "".join(rng.choice(list("abcde"), rng.integers(3, 9))) for u in utts
        }
        tokens = {u: rng.integers(0, 27, rng.integers(12, 40)) for u in utts}
        offsets = write_ark(root / name / "tokens.ark", tokens)
        ark = root / name / "tokens.ark"
        scp = {utt: f"{ark}:{at}" for utt, at in offsets.items()}
        write_table(root / name / "text", texts)
        write_table(root / name / "tokens.scp", scp)
        lengths = {utt: len(x) for utt, x in tokens.items()}
        write_table(root / name / "utt2num_tokens", lengths)


def command(root: Path, exp: Path, **config) -> List[str]:
    """Options of the task for a run into `exp`, with changes to CONFIG."""
    file = exp.with_name(f"{exp.name}.yaml")
    file.write_text(yaml.safe_dump({**CONFIG, **config}), encoding="utf-8")
    words = ["--config", file, "--output_dir", exp]
    words += ["--token_list", root / "symbols.txt"]
    for name in ("train", "valid"):
        data, at = f"--{name}_data_path_and_name_and_type", root / name
        words += [data, f"{at}/text,text,text"]
        words += [data, f"{at}/tokens.scp,speech_token,kaldi_ark"]
        words += [f"--{name}_shape_file", at / "utt2num_tokens"]
    return [str(word) for word in words]


def train(rank: int, world: int, words: Sequence[str], exp: Path, signals: Dict):
    """One process of a training; writes what it saw to `exp`.RANK.pth.

    Args:
        rank, world: Which of how many it is.
        words: Options of the task.
        exp: Its directory.
        signals: Signals that it sends itself, by the call of the model.
    """
    from espnet_fsqdiff.tasks.cdcd import CDCDTask, ESPnetCDCDModel

    torch.set_num_threads(1)
    draw_by_name(ESPnetCDCDModel, signals)
    trainer = CDCDTask.trainer
    epoch = trainer.train_one_epoch.__func__

    def recorded(cls, **kwargs):
        start = time.perf_counter()
        invalid = epoch(cls, **kwargs)
        seen = {
            "losses": [v.value for v in kwargs["reporter"].stats["loss"]],
            "ema": getattr(kwargs["model"], "module", kwargs["model"]).ema.state_dict(),
            "random": torch.rand(3),
            "seconds": time.perf_counter() - start,
            "sum_seconds": seconds_of_a_sum() if world > 1 else 0.0,
        }
        torch.save(seen, f"{exp}.{rank}.pth")
        return invalid

    trainer.train_one_epoch = classmethod(recorded)
    CDCDTask.main(cmd=[*words, *joining(rank, world, exp)])


def joining(rank: int, world: int, exp: Path) -> List[str]:
    """Options by which a process joins the others that train into `exp`."""
    words = ["--dist_backend", "gloo", "--multiprocessing_distributed", "false"]
    words += ["--dist_world_size", str(world), "--dist_rank", str(rank)]
    return [*words, "--dist_init_method", f"file://{exp}.meet"]


def draw_by_name(model_class: type, signals: Dict) -> None:
    """Let names and steps seed what the model draws; a few texts are withheld."""
    forward, calls = model_class.forward, 0

    def named(self, *args, utt_id, **kwargs):
        nonlocal calls
        calls += 1
        if calls in signals:
            os.kill(os.getpid(), signals[calls])
        step = int(self.ema.num_updates)
        names = [f"{utt} {step}" for utt in utt_id]

        def draw(lengths, frames, dim, warp=None):
            drawn = self.loss.fixed_draw(names, lengths, frames, dim)
            return drawn._replace(drop=drawn.t < 0.2)

        self.loss.draw = draw
        if self.training:
            torch.rand(())  # the generators of all processes move
        return forward(self, *args, utt_id=utt_id, **kwargs)

    model_class.forward = named


def seconds_of_a_sum(repeats: int = 200) -> float:
    """Of one number over all processes, as a step needs to agree on signals."""
    number = torch.zeros((), dtype=torch.int64)
    start = time.perf_counter()
    for _ in range(repeats):
        torch.distributed.all_reduce(number)
    return (time.perf_counter() - start) / repeats


def run(
    world: int,
    words: Sequence[str],
    exp: Path,
    signals: Optional[Dict[int, Dict[int, signal.Signals]]] = None,
    timeout: float = 500.0,
) -> Tuple[List[int], List[Dict]]:
    """Train in so many processes.

    Args:
        world: How many.
        words: Options of the task.
        exp: Its directory.
        signals: By rank, as `train` takes them.
        timeout: Seconds after which what still runs is killed.

    Returns:
        Exit statuses by rank, and if all are 0, what each process saw.
    """
    Path(f"{exp}.meet").unlink(missing_ok=True)
    signals = signals or {}
    told = [(rank, world, words, exp, signals.get(rank, {})) for rank in range(world)]
    statuses = run_processes(train, told, timeout)
    if any(statuses):
        return statuses, []
    files = [f"{exp}.{rank}.pth" for rank in range(world)]
    return statuses, [torch.load(file, weights_only=True) for file in files]


def run_processes(
    target: Callable,
    arguments: Sequence[Tuple],
    timeout: float = 500.0,
    preload: Sequence[str] = PRELOAD,
) -> List[int]:
    """Call a function in processes that start with ESPnet imported.

    Args:
        target: The function.
        arguments: Of each process.
        timeout: Seconds after which what still runs is killed.
        preload: Modules that they start with.

    Returns:
        Exit statuses.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    processes = [context.Process(target=target, args=told) for told in arguments]
    for process in processes:
        process.start()
    end = time.monotonic() + timeout
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def furthest(ours: Dict, theirs: Dict) -> Tuple[float, float]:
    """Largest difference of the losses, relative, and of the averaged weights."""
    loss = np.abs(np.array(ours["losses"]) / np.array(theirs["losses"]) - 1).max()
    pairs = ((ours["ema"][key], value) for key, value in theirs["ema"].items())
    weight = max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
    return float(loss), weight


def main(cmd: Optional[Sequence[str]] = None) -> None:
    """Print the table."""
    args = get_parser().parse_args(cmd)
    print(
        "| processes | steps | loss, first and last | loss off by | average off by",
        end="",
    )
    print(" | ms a step | ms a sum |\n| --: | --: | --: | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_corpus(root, args.steps * args.batch_size)
        first = None
        for world in args.processes:
            exp = root / f"processes_{world}"
            words = command(root, exp, batch_size=args.batch_size)
            statuses, seen = run(world, words, exp)
            if not seen:
                raise SystemExit(f"{world} processes ended with {statuses}")
            ours = seen[0]
            first = first or ours
            loss, weight = furthest(ours, first)
            ends = "{:.4f} {:.4f}".format(ours["losses"][0], ours["losses"][-1])
            ms = 1000 * ours["seconds"] / len(ours["losses"])
            print(
                f"| {world} | {len(ours['losses'])} | {ends} | {loss:.1e} | "
                f"{weight:.1e} | {ms:.1f} | {1000 * ours['sum_seconds']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
