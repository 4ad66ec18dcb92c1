"""The graphs of a voice as torch modules, and examples of what they take."""

from typing import Dict, Optional

import numpy as np
import torch
from torch import nn

from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.duration import to_frames
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.onnx.signature import Facts, signatures
from espnet_fsqdiff.tokenizer import SpeechTokenizerModel

MAX_CODES = 2**20  # of a table of points in a graph


def facts_of(
    network: CDCDNetwork, tokenizer: SpeechTokenizerModel, lays_text: bool
) -> Facts:
    """What a voice's graphs have to agree with it on."""
    return Facts(
        num_codes=tokenizer.quantizer.num_codes,
        latent_dim=network.codebook.dim,
        vocab_size=network.text_encoder.vocab_size,
        text_dim=network.text_encoder.dim,
        feature_dim=network.backbone.output_size(),
        max_frames=network.max_frames,
        self_conditioning=network.self_conditioning,
        lays_text=lays_text,
        frames_per_token=tokenizer.frames_per_token,
        n_mels=tokenizer.mel_mean.numel(),
    )


class TextEncoderGraph(nn.Module):
    """`CDCDNetwork.encode_text`, `drop` always given."""

    def __init__(self, network: CDCDNetwork):
        super().__init__()
        self.text_encoder = network.text_encoder

    def forward(self, text, text_lengths, mask, drop, durations=None):
        return self.text_encoder(text, text_lengths, mask, durations, drop)


class PosteriorGraph(nn.Module):
    """`CDCDNetwork.posterior_mean`, the temperature a tensor."""

    def __init__(self, network: CDCDNetwork):
        super().__init__()
        self.head = network.head
        self.head.codebook.points  # a table that is made when asked for: not here

    def forward(self, rows, temperature):
        return self.head.expectation(self.head(rows) / temperature)


class MelDecoderGraph(nn.Module):
    """`SpeechTokenizerModel.decode`, the quantizer a table of its points.

    Raises:
        InputError: If there is no mel decoder or there are too many codes.
    """

    def __init__(self, tokenizer: SpeechTokenizerModel):
        super().__init__()
        if tokenizer.decoder is None:
            raise InputError(
                "the tokenizer has no mel decoder; there is none to export"
            )
        num_codes = tokenizer.quantizer.num_codes
        if num_codes > MAX_CODES:
            raise InputError(
                f"the tokenizer has {num_codes} codes; {MAX_CODES} can be exported"
            )
        self.tokenizer = tokenizer
        points = tokenizer.quantizer.indices_to_codes(torch.arange(num_codes))
        self.register_buffer("points", points)

    def forward(self, tokens, lengths):
        return self.tokenizer.decode_codes(self.points[tokens], lengths)


def make_graphs(
    network: CDCDNetwork, tokenizer: SpeechTokenizerModel
) -> Dict[str, nn.Module]:
    """The graphs by name, as in `signature.signatures`, in eval mode.

    The exporter gives a module back in the mode in which it stood: one in training
    mode would come back with the dropout of all its parts switched on.
    """
    graphs = {
        "text_encoder": TextEncoderGraph(network),
        "denoiser": network.backbone,
        "posterior": PosteriorGraph(network),
        "mel_decoder": MelDecoderGraph(tokenizer),
    }
    return {name: graph.eval() for name, graph in graphs.items()}


def example(
    facts: Facts,
    batch: int,
    symbols: int,
    frames: int,
    generator: Optional[torch.Generator] = None,
) -> Dict[str, Dict[str, torch.Tensor]]:
    """Inputs of every graph by its name: a padded batch of random text and latents.

    Utterance i has i symbols and frames less than the first, at least one.
    """
    less = torch.arange(batch)
    lengths = (frames - less).clamp(min=1)
    text_lengths = torch.minimum((symbols - less).clamp(min=1), lengths)
    durations = torch.zeros(batch, symbols, dtype=torch.int64)
    for row, number, total in zip(durations, text_lengths, lengths):
        laid = to_frames(np.ones(int(number)), total=int(total))
        row[:number] = torch.from_numpy(laid)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    def whole(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(high, shape, generator=generator)

    latents = (batch, frames, facts.latent_dim)
    values = {
        "text": whole(facts.vocab_size, batch, symbols),
        "text_lengths": text_lengths,
        "mask": length_mask(lengths, frames),
        "drop": less % 2 == 1,
        "durations": durations,
        "x": normal(*latents),
        "t": torch.rand(batch, generator=generator),
        "prompt": normal(*latents),
        "vectors": normal(batch, frames, facts.text_dim),
        "estimate": normal(*latents),
        "rows": normal(batch * frames, facts.feature_dim),
        "temperature": torch.tensor(0.9),
        "tokens": whole(facts.num_codes, batch, frames),
        "lengths": lengths,
    }
    return {
        graph: {name: values[name] for name in signature.inputs}
        for graph, signature in signatures(facts).items()
    }
