"""Reading weights from files, trusting nothing in them."""

import pickle
from pathlib import Path
from typing import Dict, Union

import torch

from espnet_fsqdiff.errors import InputError


def read_states(model_file: Union[str, Path], make: str) -> Dict[str, torch.Tensor]:
    """A state dict on the CPU.

    Args:
        model_file: Where it is.
        make: How to get it, for messages: `train the model`, `download it`.

    Raises:
        InputError: If the file is missing, broken, or holds more than tensors.
    """
    try:
        states = torch.load(model_file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{model_file} is missing; {make} first") from None
    except (EOFError, OSError, RuntimeError, pickle.UnpicklingError):
        raise InputError(
            f"{model_file} cannot be read: it is cut off or holds more than tensors; "
            f"copy it or {make} again"
        ) from None
    if not isinstance(states, dict):
        raise InputError(f"{model_file} holds no state dict")
    return states
