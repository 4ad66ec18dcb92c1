"""What a study trains and samples, from a file such as conf/variants.yaml.

updates: 180              # of every training
epochs: 3                 # validations
warmup: 60                # updates of the warm-up
seeds: [1, 2, 3]
steps: [5, 8, 12, 25]
variants:
    fsq:
        args: --codebook fsq
    perturbed:
        args: --codebook perturbed --codebook_conf seed={seed}
        seeds: [1]
    lm:
        decoder: lm       # one setting, no steps
"""

import string
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.yaml_files import read_yaml

DECODERS = ("cdcd", "lm")
TOKENS = ("fsq", "rvq")
# What `args` may name in braces.
PLACEHOLDERS = ("seed", "tokenizer_file")
TEXTS = ("args", "decode_args", "note")
BUDGET = ("updates", "epochs", "warmup")
QUICK = dict(updates=4, epochs=2, warmup=1)


@dataclass(frozen=True)
class Variant:
    """One way to train a decoder.

    Attributes:
        name: Of letters, digits and `_`.
        decoder: `cdcd` or `lm`.
        tokens: `fsq` or `rvq`: from which tokenizer.
        args: Further options of the training, with `{seed}` and
            `{tokenizer_file}` left open.
        decode_args: Further options of the synthesis.
        seeds: One training each.
        steps: Sampling steps, one synthesis each; none for `lm`.
        updates: Of the optimizer.
        epochs: Into which they are divided.
        warmup: Updates of the warm-up.
        theory: Whether its codebook is compared with those of other variants, from
            which it has to differ in nothing else.
        note: What it is, for the report.
    """

    name: str
    decoder: str = "cdcd"
    tokens: str = "fsq"
    args: str = ""
    decode_args: str = ""
    seeds: Tuple[int, ...] = (1,)
    steps: Tuple[int, ...] = ()
    updates: int = 100
    epochs: int = 1
    warmup: int = 10
    theory: bool = True
    note: str = ""


@dataclass(frozen=True)
class Run:
    """One training of a variant."""

    variant: Variant
    seed: int

    @property
    def tag(self) -> str:
        """Name of its directory: `permuted_seed2`."""
        return f"{self.variant.name}_seed{self.seed}"

    @property
    def directory(self) -> str:
        """Where fsqdiff.sh trains it, in the directory of experiments."""
        return f"{self.variant.decoder}_{self.tag}"

    @property
    def settings(self) -> List[Tuple[Optional[int], str]]:
        """Sampling steps and directory of each synthesis; None for `lm`."""
        if self.variant.decoder == "lm":
            return [(None, "sampled")]
        return [(n, f"steps{n}") for n in self.variant.steps]

    def train_args(self, tokenizer_file: str) -> str:
        """Options of the training: the variant's, its seed and the budget."""
        v = self.variant
        args = v.args.format(seed=self.seed, tokenizer_file=tokenizer_file)
        budget = (
            f"--seed {self.seed} --max_epoch {v.epochs} "
            f"--num_iters_per_epoch {v.updates // v.epochs} "
            f"--scheduler_conf first_cycle_steps={v.updates} "
            f"--scheduler_conf warmup_steps={v.warmup}"
        )
        return f"{args} {budget}".strip()


def read_plan(path: Union[str, Path]) -> List[Variant]:
    """Read the variants of a study.

    Raises:
        InputError: If the file is missing, or names something unknown or unfit.
    """
    path = Path(path)
    plan = read_yaml(path)
    if not isinstance(plan.get("variants"), dict):
        raise InputError(f"{path}: it has no mapping `variants`; write one")
    shared = {k: v for k, v in plan.items() if k != "variants"}
    unknown = sorted(set(shared) - {"seeds", "steps", *BUDGET})
    if unknown:
        raise InputError(f"{path}: unknown entry {unknown[0]}; remove it")
    variants = []
    for name, own in plan["variants"].items():
        if not isinstance(own, (dict, type(None))):
            raise InputError(
                f"{path}: variant {name}: it has to be a mapping; name its entries"
            )
        variants.append(_variant(path, name, {**shared, **(own or {})}))
    return variants


def _variant(path: Path, name: Any, entries: Mapping[str, Any]) -> Variant:
    where = f"{path}: variant {name}"
    if not str(name).isidentifier():
        raise InputError(f"{where}: a name is of letters, digits and _; rename it")
    known = set(Variant.__dataclass_fields__) - {"name"}
    unknown = sorted(set(entries) - known)
    if unknown:
        raise InputError(f"{where}: unknown entry {unknown[0]}; remove it")
    fields: Dict[str, Any] = dict(entries)
    for key, choices in (("decoder", DECODERS), ("tokens", TOKENS)):
        if fields.get(key, choices[0]) not in choices:
            raise InputError(
                f"{where}: {key} {fields[key]!r} is unknown; choose one of "
                f"{', '.join(choices)}"
            )
    for key in TEXTS:
        if not isinstance(fields.get(key, ""), str):
            raise InputError(
                f"{where}: {key} has to be a text, not {fields[key]!r}; write one or "
                "leave it out"
            )
    for key in ("seeds", "steps"):
        fields[key] = _numbers(where, key, fields.get(key, []))
    if not isinstance(fields.get("theory", True), bool):
        raise InputError(f"{where}: theory is true or false, not {fields['theory']!r}")
    for key in BUDGET:
        number = fields.get(key, getattr(Variant, key))
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError(f"{where}: {key} {number!r} is no number above 0")
    variant = Variant(name=name, **fields)
    if variant.updates % variant.epochs:
        raise InputError(
            f"{where}: {variant.updates} updates make no {variant.epochs} equal epochs"
        )
    if not variant.seeds or (variant.decoder == "cdcd" and not variant.steps):
        raise InputError(f"{where}: it has no seeds or no steps; list some")
    _check_placeholders(where, variant)
    return variant


def _check_placeholders(where: str, variant: Variant) -> None:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    try:
        parts = list(string.Formatter().parse(variant.args))
        named = {n for _, n, _, _ in parts if n is not None} - set(PLACEHOLDERS)
        if not named:
            Run(variant, variant.seeds[0]).train_args("")
    except (ValueError, LookupError) as e:
        raise InputError(
            f"{where}: args '{variant.args}': {e}; known are {known}, and a brace of "
            "its own is written twice"
        ) from None
    if named:
        raise InputError(f"{where}: args names {{{min(named)}}}; known are {known}")


def _numbers(where: str, key: str, values: Any) -> Tuple[int, ...]:
    is_list = isinstance(values, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values
    )
    if not is_list or len(set(values)) < len(values):
        raise InputError(f"{where}: {key} has to be a list of different numbers")
    return tuple(values)


def select(
    variants: Sequence[Variant],
    names: Sequence[str] = (),
    seeds: Sequence[int] = (),
    steps: Sequence[int] = (),
    quick: bool = False,
) -> List[Variant]:
    """Part of a plan; nothing named selects all.

    Args:
        variants: The plan.
        names: Variants wanted.
        seeds: Seeds to use in all of them.
        steps: Sampling steps to use in all of them.
        quick: Whether to train for a few updates only: a test that all runs.

    Raises:
        InputError: If a name is not in the plan.
    """
    known = {v.name: v for v in variants}
    for name in names:
        if name not in known:
            raise InputError(
                f"variant {name} is not in the plan; choose from {', '.join(known)}"
            )
    chosen = [v for v in variants if not names or v.name in names]
    changes: Dict[str, Any] = dict(QUICK) if quick else {}
    if seeds:
        changes["seeds"] = tuple(dict.fromkeys(seeds))
    if steps:
        changes["steps"] = tuple(dict.fromkeys(steps))
    return [replace(v, **changes) for v in chosen]


def runs_of(variants: Sequence[Variant]) -> List[Run]:
    """All trainings: the first seed of every variant, then the second, ...

    A study that is stopped half-way has then something to compare.
    """
    most = max((len(v.seeds) for v in variants), default=0)
    return [
        Run(v, v.seeds[i]) for i in range(most) for v in variants if i < len(v.seeds)
    ]
