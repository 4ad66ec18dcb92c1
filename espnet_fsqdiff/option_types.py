"""Options checked against the annotations of what takes them."""

import inspect
import math
import types
import typing
from collections import abc
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Mapping

from espnet_fsqdiff.errors import InputError

_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
}
# torch and files hold no larger ones.
MAX_INT = 2**63


def check_options(
    where: str, make: Callable, conf: Any, given: Iterable[str] = ()
) -> Dict[str, Any]:
    """Refuse what is no option of a class or function, or of another type than it says.

    Args:
        where: Option that holds them, such as `encoder_conf`.
        make: The class or function.
        conf: Its options by name, from a configuration.
        given: Names of parameters that are no options.

    Returns:
        `conf`.

    Raises:
        InputError: As said, or `conf` is no mapping.
    """
    if not isinstance(conf, dict):
        raise InputError(f"{where} is {shown(conf)}; give options by name, or {{}}")
    parameters = inspect.signature(make).parameters
    known = [
        name
        for name, parameter in parameters.items()
        if name not in given
        and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in conf:
        if name not in known and (not takes_any or not isinstance(name, str)):
            raise InputError(
                f"{where}: {make.__name__} has no option {name}; it has "
                f"{', '.join(known) or 'none'}"
            )
    check_types(where, hints_of(make), conf)
    return conf


def hints_of(make: Callable) -> Dict[str, Any]:
    """Annotations of the parameters of a class or function, by name.

    Those of other packages that only their type checkers can resolve are left out.
    """
    function = make.__init__ if inspect.isclass(make) else make
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except NameError:
        return {}


def check_types(where: str, hints: Mapping[str, Any], values: Mapping) -> None:
    """Refuse values of other types than their annotations.

    Args:
        where: What holds them, for messages; "" if they have names of their own.
        hints: Annotations by name; of types that no configuration holds all fit.
        values: By name.
    """
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            at = f"{where}: {name}" if where else name
            raise InputError(f"{at} is {shown(value)}; give {described(hints[name])}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; numbers have to be finite."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, choice) for choice in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return whole and abs(value) < MAX_INT
    if hint is float:
        number = isinstance(value, Real) and not isinstance(value, bool)
        return number and abs(value) < MAX_INT and math.isfinite(value)
    if hint in (str, Path):
        return isinstance(value, (str, hint))
    kind = origin or hint
    if kind in (dict, abc.Mapping):
        return isinstance(value, dict)
    if kind in (list, tuple, abc.Sequence, abc.Collection, abc.Iterable):
        return _fits_row(value, kind, arguments)
    return True


def _fits_row(value: Any, kind: Any, arguments: tuple) -> bool:
    if not isinstance(value, (list, tuple)):
        return False
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    return not arguments or all(fits(item, arguments[0]) for item in value)


def described(hint: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(described(choice) for choice in arguments)
    if origin is typing.Literal:
        return " or ".join(map(repr, arguments))
    if hint in _NAMES:
        return _NAMES[hint]
    kind = origin or hint
    if kind in (dict, abc.Mapping):
        return "options by name"
    if kind in (list, tuple, abc.Sequence, abc.Collection, abc.Iterable):
        inner = [described(a) for a in arguments if a is not Ellipsis]
        return f"a list of {', '.join(dict.fromkeys(inner))}" if inner else "a list"
    return getattr(hint, "__name__", str(hint))


def shown(value: Any, most: int = 60) -> str:
    """A value for a message, cut."""
    if isinstance(value, int) and abs(value) >= MAX_INT:
        return "too large a number"
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def in_range(where: str, name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside of [low, high]."""
    if not low <= value <= high:
        at = f"{where}: {name}" if where else name
        raise InputError(f"{at} is {shown(value)}; give {low:g} to {high:g}")
