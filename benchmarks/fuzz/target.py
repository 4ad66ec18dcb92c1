"""What is fuzzed: where inputs come from, and the door they are taken to."""

from pathlib import Path
from typing import Any, NamedTuple, Tuple

from hypothesis.strategies import SearchStrategy

from benchmarks.fuzz.material import Material


class Case(NamedTuple):
    """One input.

    Attributes:
        kind: What was done, for the record.
        content: What `Target.run` makes the input of.
    """

    kind: str
    content: Any


class Target:
    """A door of the package.

    Args:
        material: What is sound, to be damaged.

    Attributes:
        name: In the table.
        share: Of all inputs, relative to those of the other targets.
        names: One of these, or the folder of the input, has to stand in a refusal.
        may_run: Whether it starts processes of its own accord.
        patience: Factor on the limit of time, where these take time to start.
    """

    name: str
    share: int
    names: Tuple[str, ...] = ()
    may_run = False
    patience = 1.0

    def __init__(self, material: Material):
        self.material = material

    def cases(self) -> SearchStrategy[Case]:
        """Inputs."""
        raise NotImplementedError

    def run(self, case: Case, folder: Path) -> None:
        """Give an input to the package.

        Args:
            case: One of `cases`.
            folder: Empty, for its files.

        Raises:
            InputError: The package refuses it.
        """
        raise NotImplementedError
