"""Mixed precision on CPUs, which ESPnet's `--use_amp` leaves out."""

from contextlib import AbstractContextManager, nullcontext

import torch

from espnet_fsqdiff.checks import check_choice


def cpu_supports_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware."""
    try:
        with open("/proc/cpuinfo") as f:
            flags = next((line for line in f if line.startswith("flags")), "")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def check_cpu_autocast(mode: str) -> None:
    """Refuse an unknown mode of `cpu_autocast`."""
    check_choice("model_conf: cpu_autocast", mode, ("auto", "bfloat16", "off"))


def cpu_autocast(device: torch.device, mode: str = "auto") -> AbstractContextManager:
    """Autocast to bfloat16 on a CPU; on other devices ESPnet's trainer decides.

    Args:
        device: Where the model runs.
        mode: `auto` (where the processor does it in hardware: there it about
            doubles the speed, elsewhere it costs a multiple), `bfloat16`
            (always) or `off`.

    Raises:
        InputError: If it is another mode.
    """
    check_cpu_autocast(mode)
    if device.type != "cpu" or mode == "off":
        return nullcontext()
    if mode == "auto" and not cpu_supports_bfloat16():
        return nullcontext()
    return torch.autocast("cpu", dtype=torch.bfloat16)
