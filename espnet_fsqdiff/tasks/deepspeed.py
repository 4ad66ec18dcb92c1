"""Training by DeepSpeed: the optimizer's states in shards, one to a process."""

import argparse
import dataclasses
import json
import logging
import os
import time
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import torch
from espnet2.schedulers.abs_scheduler import AbsBatchStepScheduler
from espnet2.torch_utils.device_funcs import to_device
from espnet2.torch_utils.recursive_op import recursive_average
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.trainer import Trainer

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.batches import size_of
from espnet_fsqdiff.tasks.trainer import Resumable, ResumableOptions

Batch = Dict[str, torch.Tensor]

PROCESSES = "--ngpu N --multiprocessing_distributed true"
STAGES = (1, 2)
# Elementwise: their step is the same on weights that are joined and cut anew.
OPTIMIZERS = ("adam", "adamw")
# Of DeepSpeed's configuration: which options of ESPnet's say it.
ELSEWHERE = {
    "optimizer": "--optim and --optim_conf",
    "scheduler": "--scheduler and --scheduler_conf",
    "gradient_accumulation_steps": "--accum_grad",
    "gradient_clipping": "--grad_clip",
    "train_batch_size": "--batch_bins or --batch_size",
    "train_micro_batch_size_per_gpu": "--batch_bins or --batch_size",
    # They would cast the moving average too.
    "fp16": "--use_amp true, which computes in bfloat16",
    "bf16": "--use_amp true, which computes in bfloat16",
    "amp": "--use_amp true, which computes in bfloat16",
    "torch_autocast": "--use_amp true, which computes in bfloat16",
}


def check_deepspeed(args: argparse.Namespace, num_optimizers: int) -> None:
    """Refuse what DeepSpeed cannot do, or would do in another way than it says.

    Args:
        args: Options of a task.
        num_optimizers: How many it has.

    Raises:
        InputError: Naming what to change.
    """
    if num_optimizers > 1:
        raise InputError(
            "use_deepspeed: it has one optimizer, a vocoder's training two; train "
            f"with {PROCESSES} alone"
        )
    if find_spec("deepspeed") is None:
        raise InputError(
            "use_deepspeed: DeepSpeed is not installed; pip install "
            "'espnet_fsqdiff[deepspeed]'"
        )
    if args.optim not in OPTIMIZERS:
        raise InputError(
            f"optim: DeepSpeed cuts weights into shards, which {args.optim} may not "
            f"take; choose one of {', '.join(OPTIMIZERS)}"
        )
    refused = dict(grad_noise=False, grad_clip_type=2.0, use_adapter=False)
    for option, value in refused.items():
        if getattr(args, option) != value:
            raise InputError(
                f"{option}: DeepSpeed has no such thing; leave it at {value}"
            )
    read_config(args.deepspeed_config)


def read_config(path: Optional[str]) -> Dict[str, Any]:
    """DeepSpeed's configuration of a JSON file.

    Raises:
        InputError: If there is none, or it says what options of ESPnet's say.
    """
    hint = 'write {"zero_optimization": {"stage": 1}} into it'
    if path is None:
        raise InputError(f"deepspeed_config: no file is given; {hint}")
    try:
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        stage = config.get("zero_optimization", {}).get("stage", 0)
    except (OSError, ValueError, AttributeError) as e:
        raise InputError(f"deepspeed_config: {path} cannot be read ({e}); {hint}")
    for key, option in ELSEWHERE.items():
        if key in config:
            raise InputError(f"{path}: give {option} instead of {key}")
    if stage not in STAGES:
        # 0 shares nothing; in 3 no process has the weights that the average follows.
        raise InputError(
            f"{path}: zero_optimization has stage {stage}; stages 1 and 2 are supported"
        )
    return config


@contextmanager
def chosen_by_espnet(task: type, args: argparse.Namespace) -> Iterator[None]:
    """Let ESPnet put `ShardedTrainer` where it would put its own trainer.

    Raises:
        InputError: If there is one process only.
    """
    if not args.use_deepspeed or args.collect_stats or args.dry_run:
        yield
        return
    if not args.distributed:
        raise InputError(
            f"use_deepspeed: it is for several processes; give {PROCESSES}, or leave "
            "it out"
        )
    from espnet2.train import deepspeed_trainer

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # ESPnet reads it
    ours, theirs = task.trainer, deepspeed_trainer.DeepSpeedTrainer
    task.trainer, deepspeed_trainer.DeepSpeedTrainer = Trainer, ShardedTrainer
    try:
        yield
    finally:
        task.trainer, deepspeed_trainer.DeepSpeedTrainer = ours, theirs


class Engine(AbsESPnetModel):
    """DeepSpeed's engine as the model that ESPnet's trainer runs and saves.

    The trainer wraps it for DDP, which finds a single weight here: DeepSpeed sums
    the gradients of the others.

    Args:
        engine: The engine.
    """

    def __init__(self, engine):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1, device=engine.device))
        self._engine = (engine,)  # no module of this one

    @property
    def engine(self):
        """DeepSpeed's."""
        return self._engine[0]

    def train(self, mode: bool = True) -> "Engine":
        self.engine.module.train(mode)
        return super().train(mode)

    def forward(self, **batch):
        """Validation, without what the engine keeps for its gradients."""
        return self.engine.module(**batch)

    def collect_feats(self, **batch) -> Dict[str, torch.Tensor]:
        return self.engine.module.collect_feats(**batch)

    def state_dict(self, *args, **kwargs) -> Dict[str, Any]:
        return self.engine.module.state_dict(*args, **kwargs)

    def load_state_dict(self, *args, **kwargs):
        return self.engine.module.load_state_dict(*args, **kwargs)


class Shards(torch.optim.Optimizer):
    """The shards of an optimizer, saved and loaded as one.

    Args:
        engine: DeepSpeed's engine, which has the shard of this process.
    """

    def __init__(self, engine):
        self.zero = engine.optimizer
        self._states: List[Dict] = []

    @property
    def param_groups(self) -> List[Dict]:
        """Of this process; all else in them than weights is the same in all."""
        return self.zero.optimizer.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.zero.zero_grad(set_to_none)

    def consolidate_state_dict(self) -> None:
        """Collect the states of all processes in the first, for `state_dict`."""
        mine = to_device(self.zero.optimizer.state_dict()["state"], "cpu")
        size, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        self._states = [None] * size
        torch.distributed.gather_object(mine, None if rank else self._states)

    def state_dict(self) -> Dict[str, Any]:
        """As of the last `consolidate_state_dict`; with the learning rate of now."""
        groups = self.zero.optimizer.state_dict()["param_groups"]
        return {"shards": self._states, "param_groups": groups}

    def load_state_dict(self, states: Dict[str, Any]) -> None:
        """Become what was saved, after the model has.

        Raises:
            InputError: If it was saved by another trainer or number of processes.
        """
        size = torch.distributed.get_world_size()
        saved = len(states.get("shards", ()))
        if saved != size:
            by = f"{saved} processes of" if saved else "a training without"
            raise InputError(
                f"the checkpoint was saved by {by} DeepSpeed, these are {size}; train "
                "as then, or start from its weights by --init_param in another "
                "directory"
            )
        mine = states["shards"][torch.distributed.get_rank()]
        groups = states["param_groups"]
        self.zero.optimizer.load_state_dict({"state": mine, "param_groups": groups})
        self.zero.refresh_fp32_params()


class ShardedSteps(Trainer):
    """ESPnet's trainer with the steps of DeepSpeed's engine.

    The weights and their moving average are whole in every process and in float32,
    with `--use_amp true` too, where only the computation is cast. ESPnet's own trainer
    for DeepSpeed makes another optimizer than the task's, divides by the weight of a
    batch what is a mean already, and writes other files than the next stages read.
    """

    @classmethod
    def run(cls, *, model, optimizers, trainer_options, **others) -> None:
        import deepspeed

        config = {
            **read_config(trainer_options.deepspeed_config),
            "train_micro_batch_size_per_gpu": 1,  # asked for, and used for nothing
            "gradient_accumulation_steps": trainer_options.accum_grad,
            "gradient_clipping": trainer_options.grad_clip,
        }
        if trainer_options.use_amp:
            config["torch_autocast"] = {
                "enabled": True,
                "dtype": "bfloat16",
                "lower_precision_safe_modules": [],  # gradients are summed in float32
            }
        engine, *_ = deepspeed.initialize(
            model=model, optimizer=optimizers[0], config=config
        )
        super().run(
            model=Engine(engine),
            optimizers=[Shards(engine)],
            trainer_options=trainer_options,
            **others,
        )

    @classmethod
    def train_one_epoch(
        cls, *, model, iterator, schedulers, reporter, options, summary_writer, **_
    ) -> bool:
        """Train, and let the moving average follow every step.

        Batches at the end of the epoch that are too few for a step are left out.

        Returns:
            Whether no step was made.
        """
        engine, made = model.module.engine, 0
        log_interval = options.log_interval or max((size_of(iterator) or 0) // 20, 10)
        model.train()
        groups = _common_groups(iterator, options.accum_grad, engine.device)
        for group in reporter.measure_iter_time(groups, "iter_time"):
            # As DDP does: what a model keeps of its batches is that of the first.
            for buffer in engine.module.buffers():
                torch.distributed.broadcast(buffer, 0)
            start = time.perf_counter()
            for utt_id, batch in group[:-1]:
                cls.add_gradient(engine, utt_id, batch, reporter)
                engine.step()  # none yet, but it counts
                reporter.next()
            cls.add_gradient(engine, *group[-1], reporter)
            before = time.perf_counter()
            engine.step()
            if engine.was_step_applied():
                made += 1
                if hasattr(engine.module, "update_ema"):
                    engine.module.update_ema()
                if isinstance(schedulers[0], AbsBatchStepScheduler):
                    schedulers[0].step()
                norm = torch.as_tensor(engine.get_global_grad_norm())
                clip = 100.0 * (norm > options.grad_clip)
                seconds = time.perf_counter() - before
                # `has_stepped` looks for this name.
                reporter.register(
                    dict(grad_norm=norm, clip=clip, optim_step_time=seconds)
                )
            else:
                logging.warning("The gradient is not finite; its step is left out")
            lr = engine.optimizer.param_groups[0]["lr"]
            train_time = time.perf_counter() - start
            reporter.register(dict(optim0_lr0=lr, train_time=train_time))
            reporter.next()
            if reporter.count % log_interval < len(group):
                logging.info(reporter.log_message(-log_interval))
                if summary_writer is not None:
                    reporter.tensorboard_add_scalar(summary_writer, -log_interval)
        return made == 0

    @staticmethod
    def add_gradient(engine, utt_id: List[str], batch: Batch, reporter) -> None:
        """Add the gradient of a batch, of which every process has its part.

        The loss of a process is a mean: they are joined by how much each is of.
        """
        batch = to_device({**batch, "utt_id": utt_id}, engine.device)
        loss, stats, weight = engine(**batch)
        loss = (loss * weight.type(loss.dtype)).sum()
        stats = {name: value for name, value in stats.items() if value is not None}
        stats, weight = recursive_average(stats, weight, True)
        reporter.register(stats, weight)
        engine.backward(loss / weight.sum() * torch.distributed.get_world_size())

    @classmethod
    def validate_one_epoch(cls, **kwargs) -> None:
        super().validate_one_epoch(**kwargs)
        # The next thing the trainer writes is the checkpoint.
        for optimizer in kwargs["options"].saving.training.optimizers:
            optimizer.consolidate_state_dict()


def _common_groups(
    batches: Iterable, size: int, device: torch.device
) -> Iterator[List[Tuple[List[str], Batch]]]:
    """Batches by `size`, as long as every process has as many."""
    batches = iter(batches)
    while True:
        group = list(islice(batches, size))
        missing = torch.tensor(int(len(group) < size), device=device)
        torch.distributed.all_reduce(missing)
        if missing > 0:
            return
        yield group


@dataclasses.dataclass
class ShardedOptions(ResumableOptions):
    """Options of the trainer with DeepSpeed."""

    deepspeed_config: str


class ShardedTrainer(Resumable, ShardedSteps):
    """The trainer with DeepSpeed, resumable."""

    options_class = ShardedOptions

    @staticmethod
    def called(model: torch.nn.Module) -> torch.nn.Module:
        """What DeepSpeed's engine runs; that of ESPnet's trainer is passed by."""
        return model.module.engine.module

    @staticmethod
    def resume(*args, **kwargs) -> None:
        """Read the states of all processes on the CPU, not on every GPU."""
        Resumable.resume(*args, **{**kwargs, "ngpu": 0})
