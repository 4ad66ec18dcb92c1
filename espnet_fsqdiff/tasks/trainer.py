"""ESPnet's trainers, made to survive being killed while they write."""

import argparse
import datetime
import logging
import os
import pickle
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
import torch
from espnet2.train.gan_trainer import GANTrainer
from espnet2.train.trainer import Trainer, TrainerOptions

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

CHECKPOINT = "checkpoint.pth"
PREVIOUS = "checkpoint.prev.pth"


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
    """The states saved in `path`, or None if it is missing or was cut off."""
    try:
        with torch.serialization.safe_globals(SAFE):
            return torch.load(path, map_location=map_location, weights_only=True)
    except (EOFError, OSError, RuntimeError, pickle.UnpicklingError) as e:
        if path.exists():
            logging.warning(f"{path} cannot be read ({e})")
        return None


class Resumable:
    """What makes a trainer always leave one whole checkpoint; goes before it.

    ESPnet writes `checkpoint.pth` and then `<epoch>epoch.pth` in place, so that
    a process killed meanwhile loses the run. Here the last checkpoint is moved
    to `checkpoint.prev.pth` before the next is written, and on resume what was
    cut off is put back from what is whole.
    """

    @classmethod
    def run(cls, *args, **kwargs) -> None:
        options = kwargs["trainer_options"]
        distributed = kwargs["distributed_option"]
        if options.resume:
            if not distributed.distributed or distributed.dist_rank == 0:
                cls.mend(Path(options.output_dir))
            if distributed.distributed:
                torch.distributed.barrier()
        super().run(*args, **kwargs)

    @staticmethod
    def mend(output_dir: Path) -> None:
        """Put back what a killed run left missing or cut off in `output_dir`."""
        checkpoint, previous = output_dir / CHECKPOINT, output_dir / PREVIOUS
        states = read_checkpoint(checkpoint)
        if states is None and previous.exists():
            states = read_checkpoint(previous)
            if states is None:
                raise InputError(
                    f"neither {checkpoint} nor {previous} can be read; "
                    f"remove {output_dir} to train from the start"
                )
            logging.warning(f"going on from {previous}")
            os.replace(previous, checkpoint)
        elif states is None and checkpoint.exists():
            raise InputError(
                f"{checkpoint} cannot be read; remove it to train from the start"
            )
        if states is None:
            return
        epoch = output_dir / f"{states['reporter']['epoch']}epoch.pth"
        if read_checkpoint(epoch) is None:
            with atomic_path(epoch) as aside:
                torch.save(states["model"], aside)

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
        model.load_state_dict(states["model"], strict=strict)
        reporter.load_state_dict(states["reporter"])
        for optimizer, state in zip(optimizers, states["optimizers"]):
            optimizer.load_state_dict(state)
        for scheduler, state in zip(schedulers, states["schedulers"]):
            if scheduler is not None:
                scheduler.load_state_dict(state)
        if scaler is not None and states["scaler"] is not None:
            scaler.load_state_dict(states["scaler"])
        logging.info(f"The training was resumed using {checkpoint}")

    @classmethod
    def validate_one_epoch(cls, model, iterator, reporter, options, distributed_option):
        super().validate_one_epoch(
            model=model,
            iterator=iterator,
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


class ResumableTrainer(Resumable, Trainer):
    """ESPnet's trainer, resumable."""


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
