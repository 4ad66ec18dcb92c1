"""What of a plan is done, and what is left to do."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.study.collect import TRAINING, read_object
from espnet_fsqdiff.study.measure import RESULT
from espnet_fsqdiff.study.plan import Run, Variant, runs_of

SYNTHESIS = "stats.json"
MODEL = "valid.loss.ave.pth"


def is_trained(run: Run, expdir: Path, args: str) -> bool:
    """Whether a training is finished.

    Args:
        run: The training.
        expdir: Directory of experiments.
        args: Options that it is to have, other than names of files.

    Raises:
        InputError: If it was done with other options than the plan has now.
    """
    path = expdir / run.directory / TRAINING
    if not path.is_file():
        return False
    theirs = read_object(path).get("args")
    if theirs != args:
        raise InputError(
            f"{path.parent} was trained with '{theirs}', the plan says '{args}'; "
            "remove it, or name another --expdir"
        )
    return True


def pending_trainings(
    variants: Sequence[Variant], expdir: Union[str, Path]
) -> List[Run]:
    """Trainings without a `training.json`, in the order of the plan."""
    return [
        run
        for run in runs_of(variants)
        if not is_trained(run, Path(expdir), plan_args(run))
    ]


def plan_args(run: Run) -> str:
    """Options of a training as the plan has them, the same in every directory."""
    return run.train_args("{tokenizer_file}")


def pending_syntheses(
    variants: Sequence[Variant], expdir: Union[str, Path]
) -> List[Tuple[Run, Any, Path]]:
    """Run, steps and directory of every synthesis without `stats.json`.

    Raises:
        InputError: If a training is not finished.
    """
    expdir, found = Path(expdir), []
    for run in runs_of(variants):
        if not is_trained(run, expdir, plan_args(run)):
            raise InputError(
                f"{expdir / run.directory}: not trained yet; run stage 3 (training)"
            )
        for steps, name in run.settings:
            directory = expdir / run.directory / name
            if not (directory / SYNTHESIS).is_file():
                found.append((run, steps, directory))
    return found


def unscored(
    variants: Sequence[Variant], expdir: Union[str, Path]
) -> Dict[Run, List[Path]]:
    """Directories of finished syntheses without scores, by training.

    Raises:
        InputError: If a synthesis is not finished.
    """
    left = pending_syntheses(variants, expdir)
    if left:
        raise InputError(f"{left[0][2]}: not synthesised yet; run stage 4 (synthesis)")
    found: Dict[Run, List[Path]] = {}
    for run in runs_of(variants):
        for _, name in run.settings:
            directory = Path(expdir) / run.directory / name
            if not (directory / RESULT).is_file():
                found.setdefault(run, []).append(directory)
    return found


def finish_training(
    run: Run, expdir: Union[str, Path], figures: Mapping[str, Any]
) -> None:
    """Write `training.json`, the sign that a training is done.

    Raises:
        InputError: If there is no averaged model, or the updates are not the plan's.
    """
    directory = Path(expdir) / run.directory
    if not (directory / MODEL).exists():
        raise InputError(f"{directory}/{MODEL} is missing; train again (stage 3)")
    if figures["updates"] != run.variant.updates:
        raise InputError(
            f"{directory}: {figures['updates']} updates instead of "
            f"{run.variant.updates}; remove it and train again"
        )
    with atomic_path(directory / TRAINING) as aside:
        data = {"args": plan_args(run), **figures}
        aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
