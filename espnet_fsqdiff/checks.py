"""Checks of options that several parts share; each names the option and its range."""

from typing import Any, Iterable, Optional

from espnet_fsqdiff.errors import InputError


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not known."""
    if value not in known:
        raise InputError(
            f"{name} {value!r} is unknown; choose one of {', '.join(known)}"
        )


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
