"""How something is said, and what is to be sampled for it."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import check_types, hints_of, in_range
from espnet_fsqdiff.prompting import Prompt

# Those of texts and takes are added to it, and torch's have 64 bits.
MAX_SEED = 2**62
MAX_TAKES = 64


@dataclass(frozen=True)
class Manner:
    """How something is said.

    Attributes:
        speed: Rate of speech; 2 is twice as fast.
        seed: Of what is random, together with the text.
        sampling: Of the model's `sampling_class`.
        prompt: Speech to go on from, for models that were trained with prompts.
        num_takes: How many are drawn of each text; the best is kept.

    Raises:
        InputError: If a figure is out of range.
    """

    speed: float
    seed: int
    sampling: Any
    prompt: Optional[Prompt] = None
    num_takes: int = 1

    def __post_init__(self):
        values = {"the speed": self.speed, "the seed": self.seed}
        check_types("", {"the speed": float, "the seed": int}, values)
        check_types("", dict(num_takes=int), dict(num_takes=self.num_takes))
        if not self.speed > 0:
            raise InputError(f"the speed is {self.speed}; give a positive number")
        in_range("", "the seed", self.seed, -MAX_SEED, MAX_SEED)
        in_range("", "num_takes", self.num_takes, 1, MAX_TAKES)

    def with_prompts(
        self, prompts: Optional[Sequence[Prompt]], size: int
    ) -> List["Manner"]:
        """The manner of each of `size` utterances, each with its prompt if given."""
        if prompts is None:
            return [self] * size
        if len(prompts) != size:
            raise ValueError(f"{len(prompts)} prompts for {size} utterances")
        return [dataclasses.replace(self, prompt=prompt) for prompt in prompts]


class Plan(NamedTuple):
    """What is to be sampled for one text.

    Attributes:
        text: As it was given.
        ids: Symbol ids (S,), int64, the prompt's before them.
        seed: Of what is random.
        num_frames: Speech frames T, the prompt's among them; a guess where the
            model decides.
        durations: Frames of each symbol (S,), or None.
        own_durations: Those of the text without its prompt.
        prompt: What it goes on from, or None.
    """

    text: str
    ids: np.ndarray
    seed: int
    num_frames: int
    durations: Optional[np.ndarray]
    own_durations: Optional[np.ndarray]
    prompt: Optional[Prompt]


def prompts_of(plans: Sequence[Plan], part: str) -> Optional[List[Any]]:
    """An attribute of the prompt of every utterance; None if they have no prompts."""
    if any(plan.prompt is None for plan in plans):
        return None
    return [getattr(plan.prompt, part) for plan in plans]


def make_sampling(kind: type, options: Dict[str, Any]) -> Any:
    """An object of the dataclass `kind`.

    Raises:
        InputError: If it has no such option, or one of another type or out of range.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    for name in options:
        if name not in known:
            raise InputError(
                f"{name} is no option of this model's sampling; it has "
                f"{', '.join(known)}"
            )
    check_types("", hints_of(kind), options)
    return kind(**options)
