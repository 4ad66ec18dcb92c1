"""From tokens to sound: mel makers and vocoders behind one interface."""

from espnet_fsqdiff.token2wav.chain import (
    Chain,
    Sound,
    SoundPrompt,
    TokenToWave,
    by_name,
)
from espnet_fsqdiff.token2wav.loading import build_vocoder, load_chain
from espnet_fsqdiff.token2wav.mel_decoder import MelDecoder, MelMaker
from espnet_fsqdiff.token2wav.vocoder import GriffinLim, Vocoder

__all__ = [
    "Chain",
    "GriffinLim",
    "MelDecoder",
    "MelMaker",
    "Sound",
    "SoundPrompt",
    "TokenToWave",
    "Vocoder",
    "build_vocoder",
    "by_name",
    "load_chain",
]
