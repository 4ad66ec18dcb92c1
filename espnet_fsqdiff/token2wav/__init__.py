"""From tokens to sound: mel makers and vocoders behind one interface."""

from espnet_fsqdiff.token2wav.chain import Chain, Sound, SoundPrompt, TokenToWave
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
    "load_chain",
]
