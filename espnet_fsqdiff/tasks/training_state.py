"""Everything that a step of a training changes, as plain states."""

import random
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np
import torch
from espnet2.train.reporter import Average, SubReporter, WeightedAverage
from torch.nn.parallel import DataParallel, DistributedDataParallel

from espnet_fsqdiff.errors import InputError

States = Dict[str, Any]
# Of what torch tells of a misfit, which may be a line for every weight.
MAX_REASON = 200


def is_of_training(states: Any) -> bool:
    """Whether these are states of a training, and not the weights of an epoch, say."""
    parts = dict(model=dict, optimizers=list, schedulers=list, reporter=dict)
    return (
        isinstance(states, dict)
        and "scaler" in states
        and all(isinstance(states.get(name), kind) for name, kind in parts.items())
    )


def is_of_epoch(states: Any) -> bool:
    """Whether these are states of a training after an epoch."""
    if not is_of_training(states):
        return False
    epoch, stats = (states["reporter"].get(key) for key in ("epoch", "stats"))
    return isinstance(epoch, int) and isinstance(stats, dict) and epoch in stats


def is_of_step(states: Any) -> bool:
    """Whether these are states of a training inside an epoch."""
    kinds = dict(epoch=int, batches=int, random=list, size=(int, type(None)))
    return is_of_training(states) and all(
        name in states and isinstance(states[name], kind)
        for name, kind in kinds.items()
    )


class TrainingState:
    """Model, optimizers, schedulers, scaler and the statistics of the epoch.

    Args:
        model: The model, or what runs it in parallel.
        optimizers: Its optimizers.
        schedulers: One for each, or None.
        scaler: Of the loss in mixed precision, or None.
        reporter: Of the epoch.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        schedulers: Sequence,
        scaler,
        reporter: SubReporter,
    ):
        parallel = isinstance(model, (DataParallel, DistributedDataParallel))
        self.model = model.module if parallel else model
        self.optimizers = optimizers
        self.schedulers = schedulers
        self.scaler = scaler
        self.reporter = reporter

    def state_dict(self) -> States:
        """What `load_state_dict` takes."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "schedulers": [_states_of(s) for s in self.schedulers],
            "scaler": _states_of(self.scaler),
            "reporter": reporter_states(self.reporter),
        }

    def load_state_dict(self, states: States, path: Path) -> None:
        """Become what was saved in `path`.

        Raises:
            InputError: It was saved by another training.
        """
        parts = (self.model, self.optimizers, self.schedulers, self.scaler)
        load_training(path, states, *parts)
        with _fitting(path):
            load_reporter(self.reporter, states["reporter"])


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """Whatever states that do not fit lead torch to is told in a line."""
    try:
        yield
    except Exception as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())
        if len(reason) > MAX_REASON:
            reason = f"{reason[:MAX_REASON]} ..."
        raise InputError(
            f"{path} is of another model than the configuration ({reason}); train "
            f"with the configuration of then, or remove {path.parent} to train from "
            "the start"
        ) from e


def load_training(
    path: Path,
    states: States,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    schedulers: Sequence,
    scaler,
    strict: bool = True,
) -> None:
    """Put the states of a checkpoint where they belong.

    Args:
        path: Of the checkpoint, for messages.
        states: What it holds.
        model: The model, not what runs it in parallel.
        optimizers: Its optimizers.
        schedulers: One for each, or None.
        scaler: Of the loss in mixed precision, or None.
        strict: Whether the model has to have the very weights of the checkpoint.

    Raises:
        InputError: It was saved by another training.
    """
    with _fitting(path):
        model.load_state_dict(states["model"], strict=strict)
        for optimizer, state in zip(optimizers, states["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        for scheduler, state in zip(schedulers, states["schedulers"], strict=True):
            if scheduler is not None:
                scheduler.load_state_dict(state)
        if scaler is not None and states["scaler"] is not None:
            scaler.load_state_dict(states["scaler"])


def reporter_states(reporter: SubReporter) -> States:
    """The statistics of an epoch so far, each a float64 vector with its weights."""
    stats = {}
    for name, reported in reporter.stats.items():
        weights = None
        if isinstance(reported[0], WeightedAverage):
            weights = _vector([r.weight for r in reported])
        stats[name] = [_vector([r.value for r in reported]), weights]
    return {
        "stats": stats,
        "count": reporter.count,
        "total_count": reporter.total_count,
        "seconds": time.perf_counter() - reporter.start_time,
    }


def load_reporter(reporter: SubReporter, states: States) -> None:
    """Let a new epoch's statistics go on from those saved."""
    for name, (values, weights) in states["stats"].items():
        if weights is None:
            reported = [Average(v) for v in values.tolist()]
        else:
            pairs = zip(values.tolist(), weights.tolist())
            reported = [WeightedAverage(v, w) for v, w in pairs]
        reporter.stats[name] = reported
    reporter.count = states["count"]
    reporter.total_count = states["total_count"]
    reporter.start_time = time.perf_counter() - states["seconds"]


def _states_of(part) -> Optional[States]:
    return None if part is None else part.state_dict()


def _vector(numbers: List[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def random_states(cuda_devices: Sequence[int] = ()) -> States:
    """States of the global generators of Python, numpy, torch and some GPUs."""
    version, words, gauss = random.getstate()
    kind, keys, *position = np.random.get_state()
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *position],
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state(device) for device in cuda_devices],
    }


def set_random_states(states: States, cuda_devices: Sequence[int] = ()) -> None:
    """Put the global generators where `random_states` found them."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *position = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *position))
    torch.set_rng_state(states["torch"])
    for device, state in zip(cuda_devices, states["cuda"]):
        torch.cuda.set_rng_state(state, device)


def has_stepped(reporter: SubReporter) -> bool:
    """Whether an optimizer has made a step in this epoch; others are not timed."""
    return any(name.endswith("optim_step_time") for name in reporter.stats)
