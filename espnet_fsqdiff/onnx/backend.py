"""What computes: torch or onnxruntime."""

from pathlib import Path
from typing import Optional, Union

import torch

from espnet_fsqdiff.errors import InputError

BACKENDS = ("torch", "onnx")


def check_backend(
    backend: str, device: str, onnx_dir: Optional[Union[str, Path]]
) -> None:
    """Refuse what does not go together.

    Raises:
        InputError: As said.
    """
    if backend not in BACKENDS:
        raise InputError(
            f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}"
        )
    if backend == "onnx" and torch.device(device).type != "cpu":
        raise InputError(
            f"backend onnx runs on the cpu, not on {device}; leave one of them out"
        )
    if (backend == "onnx") != (onnx_dir is not None):
        raise InputError("backend onnx and onnx_dir go together; give both or neither")
