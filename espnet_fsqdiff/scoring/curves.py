"""Training curves from the log files that ESPnet's trainer writes."""

import re
from pathlib import Path
from typing import Dict, List, Tuple, Union

from espnet_fsqdiff.errors import InputError

# {epoch: {"train" or "valid": {key: value}}}
Curves = Dict[int, Dict[str, Dict[str, float]]]

_EPOCH = re.compile(r"\b(\d+)epoch results: (\[.*)")
_SUBSET = re.compile(r"(?:^|, )\[(\w+)\] ")
# Durations ("time=1 hour, 2 minutes and 3 seconds") are no numbers.
_VALUE = re.compile(r"([^\s=,\[\]]+)=([-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|nan|inf))(?=,|$)")


def rotated_logs(log: Union[str, Path]) -> List[Path]:
    """Return a log and what it was renamed to by later runs, oldest first.

    `espnet2.bin.launch` renames `train.log` to `train.1.log`, that to `train.2.log`
    and so on before it starts again.
    """
    log = Path(log)
    older = {}
    for path in log.parent.glob(f"{log.stem}.*{log.suffix}"):
        number = path.name[len(log.stem) + 1 : len(path.name) - len(log.suffix)]
        if number.isdecimal():
            older[int(number)] = path
    return [older[n] for n in sorted(older, reverse=True)] + [log]


def read_curves(log: Union[str, Path]) -> Curves:
    """Read what the trainer reported at the end of each epoch.

    An epoch that was reported again takes the place of the earlier report and of
    all epochs after it: training went on, or began anew, from there.

    Args:
        log: `train.log`; logs of earlier runs beside it are read too.

    Returns:
        `{epoch: {"train": {key: value}, "valid": {key: value}}}` with every number
        reported, by rising epoch.

    Raises:
        InputError: The file is missing or reports no epoch.
    """
    log = Path(log)
    if not log.is_file():
        raise InputError(f"{log}: no such log; run the training stage that writes it")
    curves: Curves = {}
    for path in rotated_logs(log):
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                found = _EPOCH.search(line.rstrip())
                if found is None:
                    continue
                epoch = int(found[1])
                for later in [e for e in curves if e >= epoch]:
                    del curves[later]
                curves[epoch] = _parse_subsets(found[2])
    if not curves:
        raise InputError(
            f"{log}: no line 'N epoch results' in it; train for at least one epoch"
        )
    return curves


def _parse_subsets(report: str) -> Dict[str, Dict[str, float]]:
    parts = _SUBSET.split(report)
    return {
        name: {key: float(value) for key, value in _VALUE.findall(values)}
        for name, values in zip(parts[1::2], parts[2::2])
    }


def series(curves: Curves, subset: str, key: str) -> Tuple[List[int], List[float]]:
    """Return the epochs that report `key` in `subset`, and its values."""
    points = [
        (epoch, subsets[subset][key])
        for epoch, subsets in sorted(curves.items())
        if key in subsets.get(subset, {})
    ]
    return [epoch for epoch, _ in points], [value for _, value in points]


def shared_keys(curves: Curves) -> List[str]:
    """Return what is reported in training and in validation, the loss first."""
    names: Dict[str, Dict[str, None]] = {"train": {}, "valid": {}}
    for subsets in curves.values():
        for subset in names:
            names[subset].update(dict.fromkeys(subsets.get(subset, {})))
    ignored = ("time", "total_count", "gpu_max_cached_mem_GB")
    keys = [k for k in names["valid"] if k in names["train"] and k not in ignored]
    return sorted(keys, key=lambda k: k != "loss")
