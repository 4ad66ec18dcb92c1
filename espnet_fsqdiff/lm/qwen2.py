"""A causal transformer of Qwen2's architecture, the backbone of CosyVoice 2.

Our own and not transformers' class, for three reasons: that class has no dropout
but the attention's, without which a model of one hour of speech learns it by heart;
importing it takes longer than synthesising a sentence; and training would depend on
a package that nothing else here needs. Weights have the names and the meaning that
they have in transformers' `Qwen2Model`, so that released ones can be read with
ESPnet's `--init_param`; a test compares the two where transformers is installed.

    x = x + O attention(Q n(x), K n(x), V n(x));  x = x + D (silu(G n(x)) * U n(x))

n is RMSNorm; queries and keys are turned by their positions (RoPE); groups of
queries share keys and values.
"""

from typing import List, Optional, Tuple

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.errors import InputError


class KVCache:
    """Keys and values of all that was read, in memory taken once.

    Args:
        num_layers: Layers.
        capacity: Most positions.
    """

    def __init__(self, num_layers: int, capacity: int):
        self.keys: List[Optional[torch.Tensor]] = [None] * num_layers
        self.values: List[Optional[torch.Tensor]] = [None] * num_layers
        self.capacity = capacity
        self.length = 0

    def append(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Keep (B, H, L, d) after what is there; return all (B, H, length + L, d).

        `length` grows only by `advance`, after the last layer.
        """
        end = self.length + key.size(2)
        kept = []
        for store, new in ((self.keys, key), (self.values, value)):
            if store[layer] is None:
                size, heads, _, dim = new.shape
                store[layer] = new.new_empty(size, heads, self.capacity, dim)
            store[layer][:, :, self.length : end] = new
            kept.append(store[layer][:, :, :end])
        return kept[0], kept[1]

    def advance(self, number: int) -> None:
        """Count `number` positions as read."""
        self.length += number

    def select(self, rows: torch.Tensor) -> None:
        """Keep these utterances (R,) of the batch."""
        for store in (self.keys, self.values):
            store[:] = [tensor[rows] for tensor in store]


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn channels i and i + d/2 of x (B, H, L, d) by angles (B, 1, L, d)."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return x * cos.to(x.dtype) + turned * sin.to(x.dtype)


class Attention(nn.Module):
    """Attention in which groups of queries share keys and values."""

    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, dropout: float):
        super().__init__()
        self.head_dim = dim // num_heads
        self.groups = num_heads // num_kv_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, num_kv_heads * self.head_dim)
        self.v_proj = nn.Linear(dim, num_kv_heads * self.head_dim)
        self.o_proj = nn.Linear(dim, dim, bias=False)

    def forward(self, x, rotation, mask, cache, layer) -> torch.Tensor:
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = turn(q, *rotation), turn(k, *rotation)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if self.groups > 1:
            k, v = (h.repeat_interleave(self.groups, dim=1) for h in (k, v))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Gated linear unit with SiLU."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and MLP, each behind a norm and beside the residual."""

    def __init__(self, dim, num_heads, num_kv_heads, hidden, dropout, eps):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(dim, eps)
        self.self_attn = Attention(dim, num_heads, num_kv_heads, dropout)
        self.post_attention_layernorm = nn.RMSNorm(dim, eps)
        self.mlp = MLP(dim, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, rotation, mask, cache, layer) -> torch.Tensor:
        y = self.self_attn(self.input_layernorm(x), rotation, mask, cache, layer)
        x = x + self.dropout(y)
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Qwen2Decoder(nn.Module):
    """Layers and the last norm; what goes in are vectors, not token ids.

    Args:
        dim: Width.
        num_layers: Layers.
        num_heads: Heads of the queries.
        num_kv_heads: Heads of keys and values; as many as `num_heads` if None.
        mlp_dim: Inside of the MLP; 3 `dim` if None.
        dropout: Rate on attention weights and on what a layer adds.
        rope_theta: Longest wave length of the positions, over 2 pi.
        eps: Of the norms.
        init_std: Of the initial weights.

    Raises:
        InputError: If the heads do not divide up.
    """

    def __init__(
        self,
        dim: int = 256,
        num_layers: int = 4,
        num_heads: int = 4,
        num_kv_heads: Optional[int] = None,
        mlp_dim: Optional[int] = None,
        dropout: float = 0.0,
        rope_theta: float = 10000.0,
        eps: float = 1e-6,
        init_std: float = 0.02,
    ):
        super().__init__()
        num_kv_heads = num_kv_heads or num_heads
        if dim % (2 * num_heads) or num_heads % num_kv_heads:
            raise InputError(
                f"lm_conf: {num_heads} heads ({num_kv_heads} of keys) do not divide up "
                f"dim {dim} into even parts; change num_heads or num_kv_heads"
            )
        self.dim = dim
        self.layers = nn.ModuleList(
            Layer(dim, num_heads, num_kv_heads, mlp_dim or 3 * dim, dropout, eps)
            for _ in range(num_layers)
        )
        self.norm = nn.RMSNorm(dim, eps)
        size = dim // num_heads
        rates = rope_theta ** (-torch.arange(0, size, 2).float() / size)
        self.register_buffer("rates", rates, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=init_std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self,
        x: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor,
        cache: Optional[KVCache] = None,
    ) -> torch.Tensor:
        """Read vectors, after those that the cache holds.

        Args:
            x: Vectors (B, L, dim).
            positions: Where each stands (B, L), float; only distances count.
            mask: True where a position may look (B, 1, L, M) or (B, 1, 1, M),
                M = L plus what the cache holds; every position has to see one.
            cache: Filled with what is read.

        Returns:
            Vectors (B, L, dim).
        """
        angle = positions.float().unsqueeze(-1) * self.rates
        angle = torch.cat([angle, angle], dim=-1).unsqueeze(1)
        rotation = angle.cos(), angle.sin()
        for i, layer in enumerate(self.layers):
            x = layer(x, rotation, mask, cache, i)
        if cache is not None:
            cache.advance(x.size(1))
        return self.norm(x)
