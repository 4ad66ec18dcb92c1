"""ESPnet's speaker models, which judge how alike voices are; trained elsewhere."""

import argparse

import torch
from espnet2.tasks.spk import SpeakerTask


class SpeakerBuilder:
    """Builds a model as ESPnet's `SpeakerTask` does, from its configuration alone."""

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> torch.nn.Module:
        """Build what a configuration describes; no file of weights is read for it."""
        args.init = None
        return SpeakerTask.build_model(args)
