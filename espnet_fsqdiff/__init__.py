"""FSQ speech tokens and continuous diffusion for categorical data, for ESPnet.

The core (quantizer, codebooks, schedule, samplers, networks, theory) needs torch
alone; `espnet_fsqdiff.tasks`, `bin` and `vocoder` need ESPnet. Submodules are
imported when first used: `espnet_fsqdiff.fsq` works after the bare import.
"""

import importlib
import importlib.util
import pkgutil
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    qualified = f"{__name__}.{name}"
    if name.startswith("_") or importlib.util.find_spec(qualified) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(qualified)


def __dir__() -> list[str]:
    return sorted({*globals(), *(m.name for m in pkgutil.iter_modules(__path__))})
