"""Saving a training between two of its steps, and going on from there.

`checkpoint.step.pth` holds what the steps of an epoch have changed so far and how many
batches they took. It counts only while its epoch is the one after that of
`checkpoint.pth`.
"""

import logging
import sys
from pathlib import Path
from signal import Signals
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

import torch
from espnet2.train.distributed_utils import DistributedOption

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.tasks.batches import Skip
from espnet_fsqdiff.tasks.interruption import STOPPED, Interruption
from espnet_fsqdiff.tasks.training_state import (
    TrainingState,
    has_stepped,
    random_states,
    set_random_states,
)

STEP = "checkpoint.step.pth"
MEND = (
    "train with the data and batch options of then, or remove it to go on from the "
    "beginning of its epoch"
)


class StepSaving:
    """Saves one run of a training inside its epochs.

    Args:
        options: Of the trainer, with `save_interval_steps`.
        distributed: What this process is among others.
        interruption: Tells of signals.
        states: What `checkpoint.step.pth` holds, if the run goes on from it.

    Attributes:
        skip: The batches that the run before this one has seen.

    Raises:
        InputError: If the states are of another number of processes.
    """

    def __init__(
        self,
        options: Any,
        distributed: DistributedOption,
        interruption: Interruption,
        states: Optional[Dict[str, Any]] = None,
    ):
        self.path = Path(options.output_dir) / STEP
        self.interval = options.save_interval_steps * options.accum_grad
        self.accum_grad = options.accum_grad
        self.interruption = interruption
        self.distributed = distributed.distributed
        self.rank = distributed.dist_rank if self.distributed else 0
        self.device = "cuda" if options.ngpu > 0 else "cpu"
        self.cuda_devices = range(options.ngpu)
        if self.distributed and options.ngpu > 0:
            self.cuda_devices = [torch.cuda.current_device()]
        self.training: Optional[TrainingState] = None
        self.seen, self.size = 0, None
        self._random = None
        self._states = states
        size = 0
        if states is not None:
            size = states["batches"]
            self._check_processes(states)
        self.skip = Skip(size, self._set_random)

    def _check_processes(self, states: Dict[str, Any]) -> None:
        world = torch.distributed.get_world_size() if self.distributed else 1
        if len(states["random"]) != world:
            raise InputError(
                f"{self.path} was saved by {len(states['random'])} processes, these "
                f"are {world}; train with as many, or remove it to go on from the "
                "beginning of its epoch"
            )

    def begin(self, training: TrainingState, size: Optional[int]) -> None:
        """Start an epoch, with the states of the run before if they are of it.

        Args:
            training: What its steps change.
            size: Its batches, where that is known beforehand.

        Raises:
            InputError: If the run before had epochs of another size, or DeepSpeed.
        """
        states, self._states = self._states, None
        self.seen, self.size, self.training = 0, size, training
        if states is None:
            self.remove()
            return
        if states["size"] != size:
            raise InputError(
                f"{self.path} is of an epoch of {states['size']} batches, this one "
                f"has {size}; {MEND}"
            )
        check_shards(states, training.optimizers)
        training.load_state_dict(states, self.path)
        self.seen = states["batches"]
        self._random = states["random"][self.rank]
        logging.info(f"The training goes on after batch {self.seen} of its epoch")

    def _set_random(self) -> None:
        set_random_states(self._random, self.cuda_devices)

    def steps(self, batches: Iterable) -> "Steps":
        """The batches of the epoch that `begin` started, saving between them."""
        return Steps(batches, self)

    def after_batch(self) -> None:
        """Save if it is time, and leave if a signal came; between steps only."""
        self.seen += 1
        if self.seen % self.accum_grad > 0:
            return
        number = self.agreed_signal()
        if number or (self.interval and self.seen % self.interval == 0):
            self._random = random_states(self.cuda_devices)
            self.save()
        if number:
            self.leave(number)

    def end_training(self) -> bool:
        """The last batch of the epoch is done; whether any of its steps was made."""
        if self.skip.left > 0:
            raise InputError(
                f"{self.path} was saved after more batches than the epoch now has; "
                f"{MEND}"
            )
        # Validation begins with these, now and when the run is resumed from here.
        self._random = random_states(self.cuda_devices)
        return has_stepped(self.training.reporter)

    def validation(self, batches: Iterable) -> Iterator:
        """Batches to validate on; on a signal, what was trained is saved."""
        for batch in batches:
            yield batch
            number = self.agreed_signal()
            if number:
                self.save()
                self.leave(number)

    def agreed_signal(self) -> int:
        """The signal that came to any of the processes, 0 for none.

        Costs one sum over the processes. ESPnet's trainer makes two of them in every
        step, and one more for each of its statistics.
        """
        number = self.interruption.number
        if not self.distributed:
            return number
        largest = torch.tensor(number, device=self.device)
        torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
        return int(largest)

    def save(self) -> None:
        """Write the epoch so far, whole or not at all."""
        each = self._of_all(self._random)
        for optimizer in self.training.optimizers:
            if hasattr(optimizer, "consolidate_state_dict"):  # it is in shards
                optimizer.consolidate_state_dict()
        if self.rank != 0:
            return
        states = {
            "epoch": self.training.reporter.get_epoch(),
            "batches": self.seen,
            "size": self.size,
            "random": each,
            **self.training.state_dict(),
        }
        with atomic_path(self.path) as aside:
            torch.save(states, aside)

    def _of_all(self, states: Dict[str, Any]) -> List[Dict[str, Any]]:
        if not self.distributed:
            return [states]
        each = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(each, states)
        return each

    def leave(self, number: int) -> None:
        """End this process with status `STOPPED`, when the file is written."""
        if self.distributed:
            torch.distributed.barrier()
        epoch = self.training.reporter.get_epoch()
        logging.warning(
            f"{Signals(number).name}: saved {self.path} after batch {self.seen} of "
            f"epoch {epoch}; --resume true goes on there (exit status {STOPPED})"
        )
        sys.exit(STOPPED)

    def remove(self) -> None:
        """Remove what a finished epoch supersedes, unless its own is still to come."""
        if self.rank == 0 and self._states is None:
            self.path.unlink(missing_ok=True)


def check_shards(states: Dict[str, Any], optimizers: Sequence) -> None:
    """Refuse an optimizer's states in shards, unless it has shards itself.

    Raises:
        InputError: The states were saved under DeepSpeed, and this is without.
    """
    for optimizer, state in zip(optimizers, states["optimizers"]):
        if "shards" in state and not hasattr(optimizer, "consolidate_state_dict"):
            raise InputError(
                f"the checkpoint was saved by {len(state['shards'])} processes of "
                "DeepSpeed; train as then, or start from its weights by --init_param "
                "in another directory"
            )


class Steps:
    """Batches of an epoch; what is asked for next tells that the last is done."""

    def __init__(self, batches: Iterable, saving: StepSaving):
        self.batches = batches
        self.saving = saving

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator:
        for batch in self.batches:
            yield batch
            self.saving.after_batch()
