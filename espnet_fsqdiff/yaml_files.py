"""Reading yaml that nobody vouches for: plain values, of bounded size."""

import argparse
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from espnet_fsqdiff.errors import InputError

# A configuration with a list of 50,000 symbols takes 1 MB.
MAX_BYTES = 4 * 2**20
# Values, those that aliases repeat counted anew.
MAX_VALUES = 1_000_000
MAX_DEPTH = 50
# Python refuses to write out whole numbers of more than 4300 digits.
MAX_NUMBER_CHARS = 1000


def load_yaml(content: Union[bytes, str], where: Union[str, Path]) -> Any:
    """The value that a yaml document holds: of mappings, lists and plain values.

    Args:
        content: The document, UTF-8.
        where: Its name, for messages.

    Raises:
        InputError: It is no yaml, holds tags of objects, or is too large, too deep or
            grows so by its aliases.
    """
    import yaml

    if len(content) > MAX_BYTES:
        raise InputError(
            f"{where}: {len(content)} bytes are no configuration; at most {MAX_BYTES}"
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        _check_size(yaml.parse(text, Loader=loader), where)
        return yaml.load(text, Loader=loader)
    except InputError:
        raise
    # Beside YAMLError what values of odd tags lead the constructors to.
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise InputError(f"{where}: not yaml ({reason}); correct it") from e


def _check_size(events: Any, where: Union[str, Path]) -> None:
    """Refuse what would take too much memory or time, before it is built."""
    from yaml import events as kinds

    sizes: Dict[str, Optional[int]] = {}  # by anchor; None while it is open
    open_nodes: List[Tuple[Optional[str], int]] = []  # anchor, and values before it
    total = 0
    for event in events:
        if isinstance(event, kinds.AliasEvent):
            size = sizes.get(event.anchor, 0)  # the composer names an unknown one
            if size is None:
                raise InputError(f"{where}: {event.anchor!r} holds itself; correct it")
            total += size
        elif isinstance(event, kinds.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
            digits = event.implicit[0] and event.value[:1] in tuple("+-.0123456789")
            if digits and len(event.value) > MAX_NUMBER_CHARS:
                raise InputError(
                    f"{where}: a number of {len(event.value)} characters; correct it"
                )
        elif isinstance(event, kinds.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = None
            if len(open_nodes) > MAX_DEPTH:
                raise InputError(
                    f"{where}: values lie more than {MAX_DEPTH} deep; correct it"
                )
        elif isinstance(event, kinds.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if total > MAX_VALUES:
            raise InputError(
                f"{where}: more than {MAX_VALUES} values, aliases counted; correct it"
            )


def read_yaml(path: Union[str, Path]) -> Dict[str, Any]:
    """A file of options by name.

    Raises:
        InputError: It is missing, or none; see `load_yaml`.
    """
    try:
        with open(path, "rb") as f:
            content = f.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise InputError(f"{path}: cannot be read ({reason})") from None
    data = load_yaml(content, path)
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise InputError(f"{path}: not a configuration; give a yaml file of options")
    return data


def check_config(cmd: Optional[Sequence[str]]) -> None:
    """Refuse a `--config` that is no yaml of options, before ESPnet reads it.

    Raises:
        InputError: As said.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    config = parser.parse_known_args(cmd)[0].config
    if config is not None:
        read_yaml(config)
