"""Output heads: from the backbone's features to a distribution over codes.

A head owns three things that belong together: the logits, their cross-entropy
with the true tokens, and the expected point under them, which is the clean
estimate of CDCD ("score interpolation", Dieleman et al., 2022):

    x0_hat = sum_k p_k E_k
"""

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.codebook import Codebook, FSQCodebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ


class JointHead(nn.Module):
    """One softmax over all K codes, as in arXiv 2606.09962.

    Args:
        dim: Size of the features.
        codebook: Where the tokens live.
    """

    def __init__(self, dim: int, codebook: Codebook):
        super().__init__()
        self.linear = nn.Linear(dim, codebook.num_codes)
        self.register_buffer("points", codebook.points, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, T, dim) to logits (B, T, K)."""
        return self.linear(x)

    def cross_entropy(self, logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, K) and tokens (B, T) to nats per token (B, T)."""
        loss = F.cross_entropy(
            logits.flatten(0, 1).float(), tokens.flatten(), reduction="none"
        )
        return loss.view_as(tokens)

    def expectation(
        self, logits: torch.Tensor, temperature: float = 1.0
    ) -> torch.Tensor:
        """Mean point (B, T, n), float32, of softmax(logits / temperature)."""
        p = (logits.float() / temperature).softmax(-1)
        return p @ self.points

    def predict(self, logits: torch.Tensor) -> torch.Tensor:
        """Most likely tokens (B, T), int64."""
        return logits.argmax(-1)


class FactorizedHead(nn.Module):
    """One softmax per FSQ dimension: p(k) = prod_i p_i(digit_i(k)).

    It has sum_i L_i outputs instead of prod_i L_i and learns the grid from few
    examples of each code; the dimensions are independent given the features.

    Args:
        dim: Size of the features.
        codebook: An FSQ grid.

    Raises:
        InputError: If the codebook is no grid.
    """

    def __init__(self, dim: int, codebook: Codebook):
        super().__init__()
        if not isinstance(codebook, FSQCodebook):
            raise InputError("head: factorized needs the fsq codebook; use head: joint")
        self.fsq = FSQ(codebook.levels)
        self.linear = nn.Linear(dim, sum(codebook.levels))
        most = max(codebook.levels)
        values = torch.zeros(self.fsq.dim, most)
        index = torch.zeros(self.fsq.dim, most, dtype=torch.int64)
        absent = torch.ones(self.fsq.dim, most, dtype=torch.bool)
        first = 0
        for i, level in enumerate(codebook.levels):
            values[i, :level] = torch.linspace(-1, 1, level)
            index[i, :level] = torch.arange(first, first + level)
            absent[i, :level] = False
            first += level
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("absent", absent, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, T, dim) to logits (B, T, sum_i L_i)."""
        return self.linear(x)

    def _by_dimension(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, sum_i L_i) to (B, T, n, max_i L_i), absent ones -inf."""
        logits = logits.float()[..., self.index]
        return logits.masked_fill(self.absent, float("-inf"))

    def cross_entropy(self, logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Logits and tokens (B, T) to nats per token (B, T)."""
        log_p = self._by_dimension(logits).log_softmax(-1)
        digits = self.fsq.indices_to_digits(tokens)
        return -log_p.gather(-1, digits.unsqueeze(-1)).squeeze(-1).sum(-1)

    def expectation(
        self, logits: torch.Tensor, temperature: float = 1.0
    ) -> torch.Tensor:
        """Mean point (B, T, n), float32, of softmax(logits / temperature)."""
        p = (self._by_dimension(logits) / temperature).softmax(-1)
        return (p * self.values).sum(-1)

    def predict(self, logits: torch.Tensor) -> torch.Tensor:
        """Most likely tokens (B, T), int64."""
        return self.fsq.digits_to_indices(self._by_dimension(logits).argmax(-1))


HEADS = {"joint": JointHead, "factorized": FactorizedHead}
