"""Weights of a training's epochs and the links to them, put in order after a kill.

After each epoch ESPnet saves the checkpoint, then the weights, then sets links and
removes weights that are not among the best. What a kill has kept it from is not done
when the training goes on, and never if that was the last epoch.
"""

import os
from pathlib import Path
from typing import Any, Callable, Dict

from espnet2.train.reporter import Reporter

from espnet_fsqdiff.errors import InputError


def put_in_order(
    output_dir: Path,
    reported: Dict[str, Any],
    options: Any,
    read: Callable[[Path], Any],
) -> None:
    """Set the links, remove what is not kept, and check what is.

    Args:
        output_dir: Of the training.
        reported: State of its reporter in the last checkpoint.
        options: Of the trainer: `best_model_criterion` and `keep_nbest_models`.
        read: Gives the weights in a file, None if they are missing or damaged.

    Raises:
        InputError: Weights of one of the best epochs are missing or damaged.
    """
    reporter = Reporter()
    reporter.load_state_dict(reported)
    last = reporter.get_epoch()
    nbest = options.keep_nbest_models
    number = nbest if isinstance(nbest, int) else max([*nbest, 1])
    _link(output_dir / "latest.pth", last)
    kept = {last}
    for phase, key, mode in options.best_model_criterion:
        if reporter.has(phase, key):
            epochs = reporter.sort_epochs(phase, key, mode)
            _link(output_dir / f"{phase}.{key}.best.pth", epochs[0])
            kept.update(epochs[:number])
    for path in output_dir.glob("*epoch.pth"):
        epoch = path.name.removesuffix("epoch.pth")
        if epoch.isdecimal() and int(epoch) < last and int(epoch) not in kept:
            path.unlink()
    for epoch in sorted(kept):
        path = output_dir / f"{epoch}epoch.pth"
        if read(path) is None:
            raise InputError(
                f"{path} is missing or damaged, and is one of the best; lower "
                f"keep_nbest_models to do without it, or remove {output_dir} to train "
                "from the start"
            )


def _link(path: Path, epoch: int) -> None:
    """Let `path` lead to the weights of an epoch, as ESPnet does."""
    target = f"{epoch}epoch.pth"
    if path.is_symlink() and os.readlink(path) == target:
        return
    aside = path.with_name(f"{path.stem}.tmp.0{path.suffix}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    os.replace(aside, path)
