"""What a training cost and reached, from the states in its last checkpoint."""

import datetime
import math
from typing import Any, Dict, Mapping


def training_figures(states: Mapping[str, Any]) -> Dict[str, Any]:
    """Reduce a checkpoint of ESPnet's trainer to figures.

    Args:
        states: `checkpoint.pth`: `reporter` (figures by epoch), `optimizers`.

    Returns:
        epochs: how many were trained; updates: of the optimizer; train_seconds: in
        all, validation and the start of the command left out; parameters: trained
        ones; best_epoch: with the least validation loss; valid: every figure of
        the validation in that epoch, such as `loss` and `loss_t0.1`.

    Raises:
        ValueError: If there is no epoch with a validation loss.
    """
    stats = states["reporter"]["stats"]
    losses = {
        epoch: float(parts["valid"]["loss"])
        for epoch, parts in stats.items()
        if "loss" in parts.get("valid", {})
    }
    if not losses:
        raise ValueError("the checkpoint reports no validation loss")
    best = min(losses, key=lambda epoch: (losses[epoch], epoch))
    return {
        "epochs": len(stats),
        "updates": int(stats[max(stats)]["train"]["total_count"]),
        "train_seconds": sum(_seconds(p["train"]["time"]) for p in stats.values()),
        "parameters": sum(map(num_parameters, states["optimizers"])),
        "best_epoch": int(best),
        "valid": {
            key: float(value)
            for key, value in stats[best]["valid"].items()
            if key != "total_count"
            and not isinstance(value, datetime.timedelta)
            and math.isfinite(float(value))
        },
    }


def _seconds(time: Any) -> float:
    return time.total_seconds() if isinstance(time, datetime.timedelta) else float(time)


def num_parameters(optimizer: Mapping[str, Any]) -> int:
    """Count the parameters that an Adam moves, by its first moments.

    The moving average and fixed tables, which are in the model's file too, do not
    count.
    """
    return sum(state["exp_avg"].numel() for state in optimizer["state"].values())
