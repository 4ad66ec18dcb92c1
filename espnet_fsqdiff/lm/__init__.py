"""The language model of speech tokens: the diffusion decoder's counterpart."""

from espnet_fsqdiff.lm.generate import Generated, generate
from espnet_fsqdiff.lm.loss import LMLoss
from espnet_fsqdiff.lm.network import TokenLM
from espnet_fsqdiff.lm.qwen2 import KVCache, Qwen2Decoder
from espnet_fsqdiff.lm.sampling import LMSampling

__all__ = [
    "Generated",
    "KVCache",
    "LMLoss",
    "LMSampling",
    "Qwen2Decoder",
    "TokenLM",
    "generate",
]
