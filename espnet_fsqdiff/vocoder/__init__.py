"""Neural vocoders: log-mel to wave, trained as a GAN.

The field's names: the *generator* makes the wave, *discriminators* tell it from
recorded ones in training only.
"""

from espnet_fsqdiff.vocoder.trained import TrainedVocoder

__all__ = ["TrainedVocoder"]
