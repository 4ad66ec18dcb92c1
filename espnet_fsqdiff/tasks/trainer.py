"""ESPnet's trainers, made to survive being stopped and killed."""

import argparse
import dataclasses
import datetime
import logging
import os
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import numpy as np
import torch
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.train.gan_trainer import GANTrainer, GANTrainerOptions
from espnet2.train.trainer import Trainer, TrainerOptions
from espnet2.utils.build_dataclass import build_dataclass

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.states import check_sums
from espnet_fsqdiff.tasks.accumulation import joint_batches
from espnet_fsqdiff.tasks.batches import Skip, SkippingIterFactory, size_of
from espnet_fsqdiff.tasks.epoch_files import put_in_order
from espnet_fsqdiff.tasks.interruption import STOPPED, Interruption
from espnet_fsqdiff.tasks.step_saving import STEP, StepSaving, check_shards
from espnet_fsqdiff.tasks.training_state import (
    TrainingState,
    is_of_epoch,
    is_of_step,
    load_training,
)

CHECKPOINT = "checkpoint.pth"
PREVIOUS = "checkpoint.prev.pth"
# Between the seeds of processes, which ESPnet gives one and the same: noise and times
# of their batches would be the same too.
SEED_STRIDE = 1_000_003

# Beside tensors a checkpoint holds what the reporter keeps: durations of epochs and
# means, which are numpy scalars. NumPy 1 and 2 name the function that makes these
# differently.
SAFE = [
    datetime.timedelta,
    np.float64(0).__reduce__()[0],
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "b1")),
]


def read_checkpoint(path: Path, map_location: str = "cpu") -> Optional[Dict[str, Any]]:
    """The states saved in `path`, or None if it is missing or damaged."""
    try:
        check_sums(path)
        with torch.serialization.safe_globals(SAFE):
            return torch.load(path, map_location=map_location, weights_only=True)
    # Odd bytes lead torch to errors of many kinds.
    except Exception as e:
        if path.exists():
            logging.warning(f"{path} cannot be read ({e})")
        return None


def read_training(
    path: Path, is_whole: Callable[[Any], bool] = is_of_epoch
) -> Optional[Dict[str, Any]]:
    """The states of a training saved in `path`, or None if they are not whole there."""
    states = read_checkpoint(path)
    if states is not None and not is_whole(states):
        logging.warning(f"{path} has no whole states of a training")
        return None
    return states


@dataclasses.dataclass
class ResumableOptions(TrainerOptions):
    """Options of the trainer that saves inside an epoch."""

    save_interval_steps: int


@dataclasses.dataclass
class ResumableGANOptions(GANTrainerOptions):
    """Options of the GAN trainer that saves inside an epoch."""

    save_interval_steps: int


class Resumable:
    """What makes a trainer lose nothing when it is stopped; goes before it.

    ESPnet writes `checkpoint.pth` and then `<epoch>epoch.pth` in place, so that
    a process killed meanwhile loses the run. Here the last checkpoint is moved
    to `checkpoint.prev.pth` before the next is written, and on resume what was
    cut off is put back from what is whole.

    Inside an epoch `checkpoint.step.pth` is written every `save_interval_steps`
    steps, and on SIGTERM, SIGINT and SIGUSR1, after which the run ends with exit
    status 75. A run resumed from it makes the steps that one without a break would
    have made, to the bit where the computation itself is deterministic. For this,
    preprocessing that draws at random must not be done by workers of the loader; none
    of this package does.

    Batches that a step accumulates train as one joint batch, see `joint_batches`.

    A run puts its `StepSaving` into its options, as `saving`: the trainer's methods
    belong to the class and have nothing else in common.
    """

    options_class: type

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        group = parser.add_argument_group("Saving inside an epoch")
        group.add_argument(
            "--save_interval_steps",
            type=int,
            default=0,
            help=f"Write {STEP} every so many steps of the optimizer, for --resume; 0 "
            "for never. It is written in any case when SIGTERM, SIGINT or SIGUSR1 "
            f"asks the training to stop, which it then does with status {STOPPED}",
        )

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> TrainerOptions:
        """The options of the trainer.

        Raises:
            InputError: If an option is out of range.
        """
        super().build_options(args)
        if args.save_interval_steps < 0:
            raise InputError(
                f"save_interval_steps is {args.save_interval_steps}; give 0 or more"
            )
        return build_dataclass(cls.options_class, args)

    @classmethod
    def run(cls, *args, **kwargs) -> None:
        options = kwargs["trainer_options"]
        distributed = kwargs["distributed_option"]
        output_dir = Path(options.output_dir)
        states = None
        if options.resume:
            if not distributed.distributed or distributed.dist_rank == 0:
                finished = cls.mend(output_dir)
                if finished is not None:
                    reported = finished["reporter"]
                    put_in_order(output_dir, reported, options, read_checkpoint)
            if distributed.distributed:
                torch.distributed.barrier()
            states = read_training(output_dir / STEP, is_of_step)
        with Interruption() as interruption:
            saving = StepSaving(options, distributed, interruption, states)
            options.saving = saving
            skips = dict(train=saving.skip, valid=Skip(), plot_attention=Skip())
            for name, skip in skips.items():
                factory = kwargs[f"{name}_iter_factory"]
                if factory is not None:
                    factory = SkippingIterFactory(factory, skip)
                kwargs[f"{name}_iter_factory"] = factory
            super().run(*args, **kwargs)
            saving.remove()

    @staticmethod
    def mend(output_dir: Path) -> Optional[Dict[str, Any]]:
        """Put back what a killed run left missing or cut off in `output_dir`.

        Returns:
            The states of the last finished epoch, None if there is none.

        Raises:
            InputError: What is needed to go on is damaged.
        """
        for aside in output_dir.glob("*.tmp.*.pth"):
            aside.unlink()  # of `atomic_path`
        checkpoint, previous = output_dir / CHECKPOINT, output_dir / PREVIOUS
        states = read_training(checkpoint)
        if states is None and previous.exists():
            states = read_training(previous)
            if states is None:
                raise InputError(
                    f"neither {checkpoint} nor {previous} is a whole checkpoint; "
                    f"remove {output_dir} to train from the start"
                )
            logging.warning(f"going on from {previous}")
            os.replace(previous, checkpoint)
        elif states is None and checkpoint.exists():
            if any(output_dir.glob("*epoch.pth")):
                raise InputError(
                    f"{checkpoint} is no whole checkpoint; remove it to train from "
                    "the start"
                )
            logging.warning(f"{checkpoint} is of the first epoch, which is repeated")
            checkpoint.unlink()
        finished = states["reporter"]["epoch"] if states is not None else 0
        drop_stale(output_dir / STEP, finished)
        if states is None:
            return None
        epoch = output_dir / f"{finished}epoch.pth"
        if read_checkpoint(epoch) is None:
            with atomic_path(epoch) as aside:
                torch.save(states["model"], aside)
        return states

    @staticmethod
    def resume(
        checkpoint,
        model,
        reporter,
        optimizers,
        schedulers,
        scaler,
        ngpu: int = 0,
        strict: bool = True,
    ) -> None:
        device = f"cuda:{torch.cuda.current_device()}" if ngpu > 0 else "cpu"
        states = read_checkpoint(Path(checkpoint), device)
        check_shards(states, optimizers)
        parts = (model, optimizers, schedulers, scaler)
        load_training(Path(checkpoint), states, *parts, strict)
        reporter.load_state_dict(states["reporter"])
        logging.info(f"The training was resumed using {checkpoint}")

    @classmethod
    def train_one_epoch(cls, **kwargs) -> bool:
        options, reporter = kwargs["options"], kwargs["reporter"]
        saving, optimizers = options.saving, kwargs["optimizers"]
        if saving.distributed:
            seed = options.seed + reporter.get_epoch()
            set_all_random_seed(seed + SEED_STRIDE * saving.rank)
        # ESPnet would add what an accumulation left at the end of an epoch to the
        # first step of the next, unless the run was resumed in between.
        for optimizer in optimizers:
            optimizer.zero_grad()
        parts = ("model", "optimizers", "schedulers", "scaler", "reporter")
        training = TrainingState(**{part: kwargs[part] for part in parts})
        batches = kwargs["iterator"]
        saving.begin(training, size_of(batches))
        called = cls.called(kwargs["model"])
        joined = joint_batches(called, batches, options.accum_grad, saving.distributed)
        with joined as batches:
            kwargs["iterator"] = saving.steps(batches)
            invalid = super().train_one_epoch(**kwargs)
        return not saving.end_training() and invalid

    @staticmethod
    def called(model: torch.nn.Module) -> torch.nn.Module:
        """The module whose output is the loss of a batch in training."""
        return model

    @classmethod
    def validate_one_epoch(cls, model, iterator, reporter, options, distributed_option):
        super().validate_one_epoch(
            model=model,
            iterator=options.saving.validation(iterator),
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
        )
        # The next thing the trainer writes is the checkpoint.
        checkpoint = Path(options.output_dir) / CHECKPOINT
        is_main = (
            not distributed_option.distributed or distributed_option.dist_rank == 0
        )
        if is_main and checkpoint.exists():
            os.replace(checkpoint, checkpoint.with_name(PREVIOUS))


def drop_stale(step: Path, finished: int) -> None:
    """Remove a step checkpoint unless it is of the epoch after the last finished."""
    states = read_training(step, is_of_step)
    if states is not None and states["epoch"] == finished + 1:
        return
    if step.exists():
        logging.info(f"{step} is not of epoch {finished + 1} and is removed")
        step.unlink()


class ResumableTrainer(Resumable, Trainer):
    """ESPnet's trainer, resumable."""

    options_class = ResumableOptions


class GeneratorValidation(GANTrainer):
    """GAN trainer that validates the generator alone, as any other model."""

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> TrainerOptions:
        """Refuse what ESPnet's GAN trainer would fail on in the first step.

        Raises:
            InputError: Naming the option.
        """
        refused = dict(accum_grad=1, grad_noise=False, skip_discriminator_prob=0)
        for option, value in refused.items():
            if getattr(args, option) != value:
                raise InputError(
                    f"{option} is not for the training of a vocoder; leave it at "
                    f"{value}"
                )
        return super().build_options(args)

    @classmethod
    def validate_one_epoch(cls, **kwargs) -> None:
        """Past `GANTrainer`, which would also give the discriminators a turn."""
        super(GANTrainer, cls).validate_one_epoch(**kwargs)


class ResumableGANTrainer(Resumable, GeneratorValidation):
    """ESPnet's GAN trainer, resumable."""

    options_class = ResumableGANOptions
