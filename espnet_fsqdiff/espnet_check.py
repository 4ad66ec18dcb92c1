"""One clear line where ESPnet, torch or torchaudio is missing or unfit."""

import importlib
import importlib.util
import shlex
import sys
from pathlib import Path

from espnet_fsqdiff.errors import InputError


def _mend() -> str:
    """Return the command that installs what is missing beside this Python."""
    script = Path(__file__).parents[1] / "tools" / "setup_env.sh"
    if script.is_file():
        return f"{shlex.quote(str(script))} --python {shlex.quote(sys.executable)}"
    return f"{shlex.quote(sys.executable)} -m pip install 'espnet_fsqdiff[espnet]'"


def require_espnet() -> None:
    """Check that ESPnet's tasks can be imported; to be called before they are.

    Raises:
        InputError: torch, ESPnet or torchaudio is missing, or torchaudio does not
            fit torch. The message names the command that mends it.
    """
    for module, name in (
        ("torch", "torch"),
        ("espnet2", "ESPnet"),
        ("torchaudio", "torchaudio"),
    ):
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{name} is not installed for {sys.executable}: run {_mend()}"
            )
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError) as e:
        # A build for CUDA beside a torch for the CPU fails so.
        reason = str(e).partition("\n")[0]
        raise InputError(
            f"torchaudio cannot be imported ({reason}): run {_mend()}"
        ) from e
