"""Networks of training configurations with random weights, without ESPnet."""

from pathlib import Path
from typing import Any, Dict, NamedTuple, Union

import torch
import yaml
from torch import nn

from espnet_fsqdiff.codebook import CODEBOOKS, Codebook
from espnet_fsqdiff.diffusion import SCHEDULES, CDCDLoss, CDCDNetwork, Schedule
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import HEADS
from espnet_fsqdiff.nets.text_encoder import TextEncoder

NUM_SYMBOLS = 34  # a-z . , ? ! : ; ' space, as in the paper
TEXT_ENCODERS = {"convnext": TextEncoder}
BACKBONES = {"dit": DiT}
LOSSES = {"cdcd": CDCDLoss}


class Parts(NamedTuple):
    """What a training configuration describes.

    Attributes:
        network: In eval mode.
        codebook: Where the tokens live.
        schedule: alpha and sigma.
        loss: Training loss.
        config: The configuration itself.
    """

    network: CDCDNetwork
    codebook: Codebook
    schedule: Schedule
    loss: CDCDLoss
    config: Dict[str, Any]

    @property
    def lays_text(self) -> bool:
        """Whether the network is given durations."""
        return self.config.get("text_expansion", "filler") != "filler"


def build(
    config: Union[str, Path, Dict[str, Any]], seed: int = 0, vocab_size=NUM_SYMBOLS
) -> Parts:
    """Build the network of a training configuration, its outputs alive.

    Args:
        config: A file, or what is in it.
        seed: Of the weights.
        vocab_size: Text symbols.

    Raises:
        InputError: If the file cannot be read or names an unknown part.
    """
    if not isinstance(config, dict):
        try:
            config = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as e:
            raise InputError(f"{config}: {str(e).splitlines()[0]}") from None

    def make(kind: str, choices: Dict[str, type], default: str, **arguments):
        name = config.get(kind, default)
        if name not in choices:
            known = ", ".join(choices)
            raise InputError(f"{kind} {name!r}: the benchmark knows {known}")
        return choices[name](**arguments, **config.get(f"{kind}_conf", {}))

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codebook = make("codebook", CODEBOOKS, "fsq")
        text_encoder = make(
            "text_encoder", TEXT_ENCODERS, "convnext", vocab_size=vocab_size
        )
        backbone = make(
            "backbone",
            BACKBONES,
            "dit",
            latent_dim=codebook.dim,
            text_dim=text_encoder.dim,
        )
        head = make(
            "head", HEADS, "joint", dim=backbone.output_size(), codebook=codebook
        )
        schedule = make("schedule", SCHEDULES, "linear")
        loss = make("loss", LOSSES, "cdcd", schedule=schedule)
        network = CDCDNetwork(text_encoder, backbone, head)
        wake(network, codebook.dim)
    return Parts(network.eval(), codebook, schedule, loss, config)


@torch.no_grad()
def wake(network: CDCDNetwork, latent_dim: int, sharpness: float = 4.0) -> None:
    """Randomise what training starts at zero, so that outputs depend on inputs.

    Gates and modulations get the variance of an ordinary layer; latents, prompt
    and text are heard equally loud; logits get a standard deviation of about
    `sharpness`, so that the softmax is neither flat (all tokens the middle of
    the grid) nor certain.
    """
    for p in network.parameters():
        if not p.any():
            fan_in = p.size(1) if p.dim() == 2 else p.numel()
            nn.init.normal_(p, std=fan_in**-0.5)
    weight = network.backbone.proj.weight
    latents = weight.size(1) - network.text_encoder.dim
    sizes = [latent_dim] * (latents // latent_dim) + [network.text_encoder.dim]
    for columns in weight.split(sizes, dim=1):
        nn.init.normal_(columns, std=columns.size(1) ** -0.5)
    # The features end in a LayerNorm: one standard deviation in each channel.
    for layer in (m for m in network.head.modules() if isinstance(m, nn.Linear)):
        nn.init.normal_(layer.weight, std=sharpness * layer.in_features**-0.5)
