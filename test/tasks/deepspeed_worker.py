"""One of several gloo processes of a training, for test_deepspeed_trainer.py."""

import os
from pathlib import Path
from typing import Dict, Sequence

PRELOAD = ["benchmarks.distributed", "espnet2.tasks.abs_task", "deepspeed"]
PRELOAD += ["espnet_fsqdiff.tasks.cdcd", "espnet_fsqdiff.tasks.deepspeed"]


def train(rank: int, world: int, words: Sequence[str], exp: Path, signals: Dict):
    """Train; the losses of every epoch's batches are saved as EXP.EPOCH.RANK.pth.

    Args:
        rank, world: Which of how many it is.
        words: Options of the task.
        exp: Its directory.
        signals: Signals that it sends itself, by the call of the model.
    """
    os.environ.update(DS_ACCELERATOR="cpu", LOCAL_RANK=str(rank))
    import deepspeed.ops
    import torch

    from benchmarks.distributed import draw_by_name, joining
    from espnet_fsqdiff.tasks.cdcd import CDCDTask, ESPnetCDCDModel
    from espnet_fsqdiff.tasks.deepspeed import ShardedTrainer

    torch.set_num_threads(1)
    # DeepSpeed would compile sums over shared memory, a matter of minutes.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    draw_by_name(ESPnetCDCDModel, signals)
    trainer = ShardedTrainer if "--use_deepspeed" in words else CDCDTask.trainer
    train_one_epoch = trainer.train_one_epoch.__func__

    def recorded(cls, **kwargs):
        reporter = kwargs["reporter"]
        invalid = train_one_epoch(cls, **kwargs)
        losses = [v.value for v in reporter.stats["loss"]]
        torch.save(losses, f"{exp}.{reporter.get_epoch()}.{rank}.pth")
        return invalid

    trainer.train_one_epoch = classmethod(recorded)
    CDCDTask.main(cmd=[*words, *joining(rank, world, exp)])
