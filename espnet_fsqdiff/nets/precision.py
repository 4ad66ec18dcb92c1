"""Mixed precision on CPUs, which ESPnet's `--use_amp` leaves out."""

from contextlib import AbstractContextManager, nullcontext

import torch


def cpu_supports_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware."""
    try:
        with open("/proc/cpuinfo") as f:
            flags = next((line for line in f if line.startswith("flags")), "")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def cpu_autocast(device: torch.device, mode: str = "auto") -> AbstractContextManager:
    """Autocast to bfloat16 on a CPU; on other devices ESPnet's trainer decides.

    Args:
        device: Where the model runs.
        mode: `auto` (where the processor does it in hardware: there it about
            doubles the speed, elsewhere it costs a multiple), `bfloat16`
            (always) or `off`.
    """
    if mode not in ("auto", "bfloat16", "off"):
        raise ValueError(f"cpu_autocast: {mode!r} is not auto, bfloat16 or off")
    if device.type != "cpu" or mode == "off":
        return nullcontext()
    if mode == "auto" and not cpu_supports_bfloat16():
        return nullcontext()
    return torch.autocast("cpu", dtype=torch.bfloat16)
