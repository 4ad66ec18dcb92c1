#!/usr/bin/env python3
"""Say what to install so that ESPnet and this package fit what is already there.

Run with the environment's Python (standard library only):
    plan_env.py torch     the torch to install first with pip; nothing if one is there
    plan_env.py uv DIR    the arguments of `uv pip install`, one a line; writes
                          DIR/constraints.txt and DIR/overrides.txt
    plan_env.py extra DIR the same for what is installed afterwards, if it can be
"""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

# The torch that ESPnet 202511 was tried with. ESPnet >= 202611 chooses by itself.
TORCH_FOR_PYTHON_311 = "torch==2.13.0"
# torch needs at least 77.0.3, pyworld less than 82; ESPnet 202511 asks for < 74.
SETUPTOOLS = "setuptools>=77.0.3,<82"
EXTRAS = ("onnx", "phonemes", "score", "serve", "test")
# What has to be compiled, and is not worth failing for.
IF_POSSIBLE = ("pesq",)


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def torch_to_install() -> str | None:
    """Return the torch to install before all else, or None."""
    if version_of("torch") is None and sys.version_info < (3, 12):
        return TORCH_FOR_PYTHON_311
    return None


def constraints() -> list[str]:
    """Return lines that keep the torch that is there, and a torchaudio to fit it."""
    torch = version_of("torch")
    lines = [] if torch is None else [f"torch=={torch}"]
    if version_of("torchaudio") is None:
        number = (2, 11)
        if torch is not None:
            number = tuple(map(int, re.match(r"(\d+)\.(\d+)", torch).groups()))
        # Up to 2.11 torchaudio's releases went with torch's; 2.11 is the last.
        number = min(number, (2, 11))
        lines.append("torchaudio==%d.%d.*" % number)
    return lines


def pip_setting(name: str) -> list[str]:
    """Return the values of one of pip's settings, from environment or files."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    for section in ("install", "global"):
        if value is None:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"],
                capture_output=True,
                text=True,
            )
            value = done.stdout if done.returncode == 0 else None
    return (value or "").split()


def uv_arguments(folder: Path, extras: tuple[str, ...]) -> list[str]:
    """Write constraints and overrides to `folder`; return uv's arguments."""
    (folder / "constraints.txt").write_text("\n".join(constraints()) + "\n")
    (folder / "overrides.txt").write_text(SETUPTOOLS + "\n")
    arguments = ["--constraint", str(folder / "constraints.txt")]
    arguments += ["--override", str(folder / "overrides.txt")]
    # uv does not read pip's settings.
    for value in pip_setting("find-links"):
        arguments += ["--find-links", value]
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & set(os.environ):
        for value in pip_setting("index-url")[:1]:
            arguments += ["--default-index", value]
    arguments += ["--editable", f".[{','.join(extras)}]", SETUPTOOLS]
    return arguments


def extras_needed() -> tuple[str, ...]:
    """Return the extras without which the set-up has failed."""
    # An ESPnet that is there, also as a checkout on the path, is kept.
    has_espnet = importlib.util.find_spec("espnet2") is not None
    return ("train" if has_espnet else "espnet", *EXTRAS)


def main() -> None:
    """Print the plan asked for."""
    if sys.argv[1:] == ["torch"]:
        print(torch_to_install() or "")
    elif len(sys.argv) == 3 and sys.argv[1] in ("uv", "extra"):
        extras = extras_needed() if sys.argv[1] == "uv" else IF_POSSIBLE
        print("\n".join(uv_arguments(Path(sys.argv[2]), extras)))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
