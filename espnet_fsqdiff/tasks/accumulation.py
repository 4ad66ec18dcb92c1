"""Gradients of several batches that are those of one joint batch."""

from contextlib import contextmanager
from itertools import islice
from typing import Iterable, Iterator, List, Tuple

import torch


@contextmanager
def joint_batches(
    model: torch.nn.Module, batches: Iterable, accum_grad: int, distributed: bool
) -> Iterator[Iterable]:
    """Let every utterance of a step count alike, whichever batch it is in.

    ESPnet's trainer takes the mean of the `accum_grad` batches of a step, so that the
    utterances of a small batch count more than those of a large one. Here the loss of
    batch i, a mean over its n_i utterances, is scaled before by

        accum_grad * n_i / sum_j n_j

    with the utterances of all processes. For this the batches of a step are read
    before its first is trained on.

    Args:
        model: Called once a batch, for loss, statistics and weight.
        batches: Of an epoch: names of utterances, and their data.
        accum_grad: Batches a step.
        distributed: Whether other processes train with this one.

    Yields:
        The same batches.
    """
    if accum_grad == 1:
        yield batches
        return
    windows = Windows(batches, accum_grad, distributed)
    hook = model.register_forward_hook(windows.scale)
    try:
        yield windows
    finally:
        hook.remove()


class Windows:
    """Batches, read as many at once as make a step.

    Args:
        batches: Names of utterances, and their data.
        size: Batches a step.
        distributed: Whether other processes train with this one.
    """

    def __init__(self, batches: Iterable, size: int, distributed: bool):
        self.batches = batches
        self.size = size
        self.distributed = distributed
        self._utts: List[int] = []
        self._scales: List[float] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator:
        batches = iter(self.batches)
        while window := list(islice(batches, self.size)):
            self._utts = [len(names) for names, _ in window]
            self._scales = []
            yield from window

    def scale(self, module: torch.nn.Module, inputs: Tuple, output: Tuple) -> Tuple:
        """Forward hook of the model."""
        loss, stats, weight = output
        if not self._scales:
            # Not before: only here is it known that all processes have a batch.
            self._scales = self._shares(loss.device)
        return loss * self._scales.pop(0), stats, weight

    def _shares(self, device: torch.device) -> List[float]:
        # At the end of an epoch there may be fewer batches; no step is made of them.
        utts = self._utts + [0] * (self.size - len(self._utts))
        utts = torch.tensor(utts, dtype=torch.int64, device=device)
        if self.distributed:
            torch.distributed.all_reduce(utts)
        return (self.size * utts.double() / utts.sum()).tolist()
