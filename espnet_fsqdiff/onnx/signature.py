"""The graphs of a voice: names, inputs, outputs and shapes.

    text_encoder   text, durations -> vectors          once with and once without text
    denoiser       x, t, prompt, vectors -> features   at every step of the sampler
    posterior      features -> mean                    after it, for the frames wanted
    mel_decoder    tokens -> mel                       once an utterance

Guidance, prompts and the sampler itself stay outside.
"""

from dataclasses import dataclass
from typing import Dict, Tuple, Union

FORMAT = "espnet_fsqdiff.onnx"
FORMAT_VERSION = 1
MANIFEST = "onnx.yaml"
OPSET = 20

# A number is a size; a name one that may be any.
Axes = Tuple[Union[str, int], ...]


@dataclass(frozen=True)
class Facts:
    """What graphs and the models that they stand for have to agree on.

    Attributes:
        num_codes: Codebook size K.
        latent_dim: Latent dimensions n.
        vocab_size: Text symbols.
        text_dim: Size of the text vectors.
        feature_dim: Size of the features that the head takes.
        max_frames: Most frames of an utterance.
        self_conditioning: Whether the denoiser takes an earlier estimate.
        lays_text: Whether text is laid over the frames by durations.
        frames_per_token: Mel frames of a token.
        n_mels: Mel bands.
    """

    num_codes: int
    latent_dim: int
    vocab_size: int
    text_dim: int
    feature_dim: int
    max_frames: int
    self_conditioning: bool
    lays_text: bool
    frames_per_token: int
    n_mels: int


@dataclass(frozen=True)
class Signature:
    """Inputs, by name in order, and the output of a graph: types and axes."""

    inputs: Dict[str, Tuple[str, Axes]]
    output: str
    output_axes: Axes


def signatures(facts: Facts) -> Dict[str, Signature]:
    """The graphs of a voice by name; outputs are float32."""
    frames = ("batch", "frames")
    latents = ("float32", (*frames, facts.latent_dim))
    vectors = (*frames, facts.text_dim)
    text = {
        "text": ("int64", ("batch", "symbols")),
        "text_lengths": ("int64", ("batch",)),
        "mask": ("bool", frames),
        "drop": ("bool", ("batch",)),
    }
    if facts.lays_text:
        text["durations"] = ("int64", ("batch", "symbols"))
    step = {
        "x": latents,
        "t": ("float32", ("batch",)),
        "prompt": latents,
        "vectors": ("float32", vectors),
        "mask": ("bool", frames),
    }
    if facts.self_conditioning:
        step["estimate"] = latents
    return {
        "text_encoder": Signature(text, "vectors", vectors),
        "denoiser": Signature(step, "features", (*frames, facts.feature_dim)),
        "posterior": Signature(
            {
                "rows": ("float32", ("rows", facts.feature_dim)),
                "temperature": ("float32", ()),
            },
            "mean",
            ("rows", facts.latent_dim),
        ),
        "mel_decoder": Signature(
            {
                "tokens": ("int64", ("batch", "frames")),
                "lengths": ("int64", ("batch",)),
            },
            "mel",
            ("batch", "mel_frames", facts.n_mels),
        ),
    }
