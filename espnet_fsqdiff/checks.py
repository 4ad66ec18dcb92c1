"""Checks of options that several parts share; each names the option and its range."""

from typing import Any, Iterable, Optional, Tuple

from espnet_fsqdiff.errors import InputError


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not known."""
    if not isinstance(value, str) or value not in known:
        raise InputError(
            f"{name} {value!r} is unknown; choose one of {', '.join(known)}"
        )


# More bring nothing and take hours.
MAX_STEPS = 1000


def check_steps(num_steps: int) -> None:
    """Refuse numbers of sampling steps outside of [1, MAX_STEPS]."""
    if not 1 <= num_steps <= MAX_STEPS:
        raise InputError(f"num_steps is {num_steps}; give 1 to {MAX_STEPS}")


def check_counts(**counts: Optional[int]) -> None:
    """Refuse numbers below 1; None is left to the default."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"{name} is {count}; give at least 1")


def check_shares(where: str, **shares: float) -> None:
    """Refuse shares outside of [0, 1].

    Args:
        where: Option that has them, such as `loss_conf`.
        shares: By name.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"{where}: {name} is {share}; give 0 to 1")


def check_prompt_fraction(fraction: Tuple[float, float]) -> None:
    """Refuse shortest and longest prompts that leave nothing of an utterance.

    Args:
        fraction: Both as shares of the utterance.
    """
    low, high = fraction
    if not 0 <= low <= high < 1:
        raise InputError(
            f"loss_conf: prompt_fraction is {low} to {high}; give two shares from 0 "
            "to below 1"
        )
