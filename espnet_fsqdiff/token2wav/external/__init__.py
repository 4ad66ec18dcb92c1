"""Other people's parts behind this package's interfaces, each optional.

    parallel_wavegan      vocoders of the ParallelWaveGAN project
    vocos                 Vocos vocoders
    cosyvoice2_tokenizer  CosyVoice 2's speech tokenizer as ONNX
    cosyvoice2            CosyVoice 2's token-to-wave

Files of others are read trusting nothing in them: weights alone, plain yaml.
"""

import importlib.util

from espnet_fsqdiff.errors import InputError


def require(package: str, what: str, install: str) -> None:
    """Refuse to go on without somebody else's package.

    Args:
        package: What is imported.
        what: Who wants it, for the message.
        install: How to get it.

    Raises:
        InputError: If it is not there.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{what} needs {package}, which is not installed; {install}")
