"""What of a plan is done, and what is left to do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.shards import digest_file
from espnet_fsqdiff.study.collect import TRAINING, read_object
from espnet_fsqdiff.study.measure import RESULT, is_scored
from espnet_fsqdiff.study.plan import Run, Variant, runs_of

SYNTHESIS = "stats.json"
# Beside it: what the waves are made of.
INPUTS = "inputs.json"
_INPUT_NAMES = dict(options="options", config="decode config", text="test set")
MODEL = "valid.loss.ave.pth"


def is_trained(run: Run, expdir: Path, configs: Mapping[str, Path]) -> bool:
    """Whether a training is finished.

    One whose `training.json` has no digest of its configuration, of a study begun
    before there was one, is taken as it is.

    Args:
        run: The training.
        expdir: Directory of experiments.
        configs: By decoder, the configuration that it is to have.

    Raises:
        InputError: If it was done with other options than the plan has now, or with
            another configuration, or the configuration is missing.
    """
    path = expdir / run.directory / TRAINING
    if not path.is_file():
        return False
    theirs, args = read_object(path), plan_args(run)
    if theirs.get("args") != args:
        raise InputError(
            f"{path.parent} was trained with '{theirs.get('args')}', the plan says "
            f"'{args}'; remove it, or name another --expdir"
        )
    config = configs[run.variant.decoder]
    if "config" in theirs and theirs["config"] != _digest_of(config):
        raise InputError(
            f"{path.parent} was trained with another configuration than {config} is "
            "now; remove it, or name another --expdir"
        )
    return True


def _digest_of(path: Union[str, Path]) -> str:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; name another or make it")
    return digest_file(Path(path))


def pending_trainings(
    variants: Sequence[Variant], expdir: Union[str, Path], configs: Mapping[str, Path]
) -> List[Run]:
    """Trainings without a `training.json`, in the order of the plan.

    Raises:
        InputError: If one was done with other options, or another configuration.
    """
    return [
        run for run in runs_of(variants) if not is_trained(run, Path(expdir), configs)
    ]


def plan_args(run: Run) -> str:
    """Options of a training as the plan has them, the same in every directory."""
    return run.train_args("{tokenizer_file}")


@dataclass(frozen=True)
class SynthesisInputs:
    """What syntheses depend on besides their models.

    Attributes:
        test_set: Data directory, of which `text` is spoken.
        configs: By decoder, the configuration of its synthesis.
        train_configs: By decoder, that of its training.
    """

    test_set: Path
    configs: Mapping[str, Path]
    train_configs: Mapping[str, Path]

    def of(self, run: Run, steps: Optional[int]) -> Dict[str, str]:
        """Options, and digests of the files, of one synthesis.

        Raises:
            InputError: If a file is missing.
        """
        files = {
            "config": Path(self.configs[run.variant.decoder]),
            "text": self.test_set / "text",
        }
        digests = {name: _digest_of(path) for name, path in files.items()}
        return {"options": synthesis_args(run, steps), **digests}


def synthesis_args(run: Run, steps: Optional[int]) -> str:
    """Options of a synthesis, other than names of files."""
    options = [] if steps is None else [f"--num_steps {steps}"]
    options += [f"--seed {run.seed}", run.variant.decode_args]
    return " ".join(options).strip()


def is_synthesised(directory: Path, inputs: Mapping[str, str]) -> bool:
    """Whether a synthesis is finished.

    One without `inputs.json`, of a study begun before there was one, is taken as it is.

    Raises:
        InputError: If it was made of other inputs.
    """
    if not (directory / SYNTHESIS).is_file():
        return False
    if (directory / INPUTS).is_file():
        theirs = read_object(directory / INPUTS)
        for key, name in _INPUT_NAMES.items():
            if theirs.get(key) != inputs[key]:
                raise InputError(
                    f"{directory} was made with another {name} ({theirs.get(key)}, "
                    f"now {inputs[key]}); remove it, or name another --expdir"
                )
    return True


def begin_synthesis(directory: Path, inputs: Mapping[str, str]) -> None:
    """Write down what a synthesis will be made of; scores of one before go."""
    (directory / RESULT).unlink(missing_ok=True)
    with atomic_path(directory / INPUTS) as aside:
        aside.write_text(json.dumps(inputs, indent=1) + "\n", encoding="utf-8")


def pending_syntheses(
    variants: Sequence[Variant], expdir: Union[str, Path], inputs: SynthesisInputs
) -> List[Tuple[Run, Optional[int], Path]]:
    """Run, steps and directory of every synthesis without `stats.json`.

    Raises:
        InputError: If a training is not finished, or it or a synthesis was made with
            other options than now.
    """
    expdir, found = Path(expdir), []
    for run in runs_of(variants):
        if not is_trained(run, expdir, inputs.train_configs):
            raise InputError(
                f"{expdir / run.directory}: not trained yet; run stage 3 (training)"
            )
        for steps, name in run.settings:
            directory = expdir / run.directory / name
            if not is_synthesised(directory, inputs.of(run, steps)):
                found.append((run, steps, directory))
    return found


def unscored(
    variants: Sequence[Variant], expdir: Union[str, Path], inputs: SynthesisInputs
) -> Dict[Run, List[Path]]:
    """Directories of finished syntheses without scores of their own, by training.

    Raises:
        InputError: If a synthesis is not finished, or was made with other options.
    """
    left = pending_syntheses(variants, expdir, inputs)
    if left:
        raise InputError(f"{left[0][2]}: not synthesised yet; run stage 4 (synthesis)")
    found: Dict[Run, List[Path]] = {}
    for run in runs_of(variants):
        for _, name in run.settings:
            directory = Path(expdir) / run.directory / name
            if not is_scored(directory, inputs.test_set):
                found.setdefault(run, []).append(directory)
    return found


def finish_training(
    run: Run,
    expdir: Union[str, Path],
    figures: Mapping[str, Any],
    config_digest: str,
) -> None:
    """Write `training.json`, the sign that a training is done.

    Args:
        run: The training.
        expdir: Directory of experiments.
        figures: What it cost and reached; `updates` of the optimizer among them.
        config_digest: SHA-256 of its configuration, as it was when it began.

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
        data = {"args": plan_args(run), "config": config_digest, **figures}
        aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
