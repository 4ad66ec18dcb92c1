"""From tokens to sound: mel decoders and vocoders behind one interface."""

from espnet_fsqdiff.token2wav.vocoder import GriffinLim, Vocoder, build_vocoder

__all__ = ["GriffinLim", "Vocoder", "build_vocoder"]
