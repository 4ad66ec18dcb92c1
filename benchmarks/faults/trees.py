"""Whether two runs of the recipe have made the same: names, and what is in the files.

Everything has to be equal byte by byte but for what says when and how fast it was
made (logs, times in tables, pictures of times), and weights, whose tensors have to be.
"""

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List

# Only tell when and how: not compared, and may be there or not.
PASSING = (
    r"\.log$",
    r"/tensorboard/",
    r"/wall_seconds\.txt$",
    r"/\.lock$",
    r"/images/\w*time\.png$",
)
# Check sums of weights by their bytes, which may be others after a resumed training
# though all tensors are equal. They have to be there.
DIGESTS = (r"/\.data$", r"/\.done_[^/]*$")
# Figures of how fast it was.
SPEEDS = ("rtf", "rtf_cpu", "rtf_sampling", "wall_seconds", "seconds")
# The report shows these figures.
REPORTS = r"/report/(.*/)?(index\.html|results\.md)$"
_SPEED = rf"(Real-time factor|{'|'.join(SPEEDS)})"
# Where; and pictures of curves, whose parts have other names each time: the losses are
# compared by themselves.
_MASKED = (
    rf"^\| {_SPEED} \|.*",
    rf"<tr><th scope='row'>{_SPEED}<.*?</tr>",
    r"\b\d+:\d\d:\d\d\b",
    r"(?<=data:image/svg\+xml;base64,)[\w+/=]+",
)


def names_in(root: Path) -> List[str]:
    """Files and links below `root` that are compared, sorted."""
    found = []
    for folder, subfolders, files in os.walk(root):
        links = [x for x in subfolders if os.path.islink(os.path.join(folder, x))]
        for name in (*files, *links):
            found.append(os.path.relpath(os.path.join(folder, name), root))
    return sorted(name for name in found if not _matches(PASSING, name))


def differences(expected: Path, found: Path) -> List[str]:
    """What is wrong in `found`, one line for each file; nothing if it is as expected.

    Args:
        expected: Outputs of a run that nothing disturbed.
        found: Outputs to judge.
    """
    there, here = set(names_in(expected)), set(names_in(found))
    lines = [f"missing: {name}" for name in sorted(there - here)]
    lines += [f"left over: {name}" for name in sorted(here - there)]
    for name in sorted(there & here):
        reason = _difference(expected / name, found / name, name)
        if reason:
            lines.append(f"{name}: {reason}")
    for log in sorted(expected.rglob("train.log")):
        name = log.relative_to(expected)
        if (found / name).exists() and losses(log) != losses(found / name):
            lines.append(f"{name}: other losses")
    return lines


def _matches(patterns, name: str) -> bool:
    return any(re.search(pattern, f"/{name}") for pattern in patterns)


def _difference(a: Path, b: Path, name: str) -> str:
    """Why two files are not the same; empty if they are."""
    if a.is_symlink() or b.is_symlink():
        same = a.is_symlink() and b.is_symlink() and os.readlink(a) == os.readlink(b)
        return "" if same else "another link"
    content_a, content_b = a.read_bytes(), b.read_bytes()
    if content_a == content_b or _matches(DIGESTS, name):
        return ""
    try:
        if a.suffix == ".pth":
            return _first_difference(_states(a), _states(b))
        if a.suffix == ".json":
            read = (json.loads(content_a), json.loads(content_b))
            return _first_difference(*map(without_speeds, read))
        if a.suffix == ".zip":
            return _first_difference(_entries(a), _entries(b))
    except Exception as e:  # a damaged file raises whatever its bytes lead to
        return f"cannot be read ({type(e).__name__})"
    if _matches([REPORTS], name) and masked(content_a) == masked(content_b):
        return ""
    return f"other bytes ({len(content_a)}, {len(content_b)})"


def masked(report: bytes) -> str:
    """A report without figures of speed."""
    text = report.decode("utf-8", "replace")
    for pattern in _MASKED:
        text = re.sub(pattern, "masked", text, flags=re.MULTILINE)
    return text


def without_speeds(value: Any) -> Any:
    """JSON without figures of speed, at any depth."""
    if isinstance(value, dict):
        return {k: without_speeds(v) for k, v in value.items() if k not in SPEEDS}
    if isinstance(value, list):
        return [without_speeds(v) for v in value]
    return value


def _states(path: Path) -> Dict[str, Any]:
    """Leaves of a checkpoint by name, without times."""
    import torch

    from espnet_fsqdiff.tasks.trainer import SAFE

    with torch.serialization.safe_globals(SAFE):
        states = torch.load(path, map_location="cpu", weights_only=True)
    return {k: v for k, v in _leaves(states, "") if not k.endswith("time")}


def _leaves(value: Any, name: str) -> Iterator[tuple]:
    import torch

    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}/{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{name}/{number}")
    elif isinstance(value, torch.Tensor):
        # Bit for bit, so that NaN equals itself and -0 is not 0.
        bits = value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        yield name, (str(value.dtype), tuple(value.shape), bits)
    else:
        yield name, repr(value)


def _entries(path: Path) -> Dict[str, bytes]:
    with zipfile.ZipFile(path) as f:
        # meta.yaml has the time of packing.
        kept = [i for i in f.infolist() if i.filename != "meta.yaml"]
        return {info.filename: f.read(info) for info in kept}


def _first_difference(a: Any, b: Any) -> str:
    if a == b:
        return ""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if key not in a or key not in b:
                return f"{key} is in one of them"
            if a[key] != b[key]:
                return f"{key} differs"
    return "other values"


def losses(log: Path) -> Dict[int, Any]:
    """All that a training reported of each epoch but times, its restarts joined."""
    from espnet_fsqdiff.scoring.curves import read_curves

    return {
        epoch: {
            subset: {k: v for k, v in values.items() if not k.endswith("time")}
            for subset, values in subsets.items()
        }
        for epoch, subsets in read_curves(log).items()
    }
