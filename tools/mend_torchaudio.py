#!/usr/bin/env python3
"""Make torchaudio importable beside a torch that has no CUDA.

Every torchaudio on PyPI is linked to CUDA, so beside a CPU torch its import fails;
ESPnet imports it. torchaudio takes a *missing* library for "no extension", so the
libraries are removed: resampling, MelSpectrogram and filters work without them
(forced_align and rnnt_loss do not). Nothing is touched if the import succeeds or
torch has CUDA. Run it with the environment's Python.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path


def import_error() -> str:
    """Return the last line of the traceback of `import torchaudio`, or ""."""
    done = subprocess.run(
        [sys.executable, "-c", "import torchaudio"], capture_output=True, text=True
    )
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["no message"])[-1]


def main() -> None:
    """Mend torchaudio, or exit with one line that says why that is not possible."""
    error = import_error()
    if not error:
        return
    spec = importlib.util.find_spec("torchaudio")
    if spec is None:
        sys.exit("torchaudio is not installed")
    import torch

    if torch.version.cuda is not None:
        sys.exit(
            f"torchaudio does not fit torch {torch.__version__} ({error}): "
            "install the torchaudio made for it"
        )
    libraries = sorted((Path(spec.origin).parent / "lib").glob("*.so"))
    for library in libraries:
        library.unlink()
    error = import_error()
    if error:
        sys.exit(f"torchaudio cannot be imported ({error})")
    print(f"removed {', '.join(map(str, libraries))}")


if __name__ == "__main__":
    main()
