"""Output heads: from the backbone's features to a distribution over codes.

A head owns three things that belong together: the logits, their cross-entropy
with the true tokens, and the expected point under them, which is the clean
estimate of CDCD ("score interpolation", Dieleman et al., 2022):

    x0_hat = sum_k p_k E_k

Logits are linear in the features, so that guidance may mix features instead of
logits and use the head once. A head owns the codebook that its codes live in.
"""

import itertools
from typing import Callable, Sequence, Tuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

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
        self.codebook = codebook
        self.linear = nn.Linear(dim, codebook.num_codes)

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
        logits = logits.float()
        if temperature != 1:
            logits = logits / temperature
        with torch.autocast(logits.device.type, enabled=False):
            return logits.softmax(-1) @ self.codebook.points

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
        self.codebook = codebook
        self.fsq = codebook.fsq
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


class PairwiseHead(JointHead):
    """A softmax over all K codes whose logits are sums over digits and their pairs.

        logit_k = sum_i u_i[d_i(k)] + sum_{i < j} v_ij[d_i(k), d_j(k)]

    that is `logits = W h Phi^T` with Phi a fixed 0/1 table (K, F) of which digits
    and pairs of digits a code has. F = sum_i L_i + sum_{i < j} L_i L_j, 276 for the
    3^8 grid against K = 6561: it shares what codes have in common, as the
    factorized head does, but does not take the digits to be independent.

    Args:
        dim: Size of the features.
        codebook: An FSQ grid.

    Raises:
        InputError: If the codebook is no grid.
    """

    def __init__(self, dim: int, codebook: Codebook):
        if not isinstance(codebook, FSQCodebook):
            raise InputError("head: pairwise needs the fsq codebook; use head: joint")
        super().__init__(dim, codebook)
        features = digit_features(codebook.levels)
        self.linear = nn.Linear(dim, features.size(1))
        self.register_buffer("features", features, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, T, dim) to logits (B, T, K)."""
        return F.linear(self.linear(x), self.features)


def digit_features(levels: Sequence[int]) -> torch.Tensor:
    """Which digits and pairs of digits a code of an FSQ grid has.

    Returns:
        Phi (K, sum_i L_i + sum_{i < j} L_i L_j), float32: one 1 for every digit
        and one for every pair of dimensions, 0 elsewhere.
    """
    fsq = FSQ(levels)
    digits = fsq.indices_to_digits(torch.arange(fsq.num_codes))
    columns = [F.one_hot(digits[:, i], level) for i, level in enumerate(levels)]
    for i, j in itertools.combinations(range(len(levels)), 2):
        pair = digits[:, i] * levels[j] + digits[:, j]
        columns.append(F.one_hot(pair, levels[i] * levels[j]))
    return torch.cat(columns, dim=1).float()


def in_chunks(
    function: Callable[..., Tuple[torch.Tensor, ...]],
    num_rows: int,
    *tensors: torch.Tensor,
) -> Tuple[torch.Tensor, ...]:
    """Apply a function of single frames to a batch, at most `num_rows` at a time.

    What it computes inside is not kept for the gradient but computed again, so
    that the logits of a large batch never exist at once.

    Args:
        function: Tensors (1, R, ...) to a tuple of tensors (1, R, ...).
        num_rows: Frames at a time.
        *tensors: (B, T, ...).

    Returns:
        A tuple of tensors (B, T, ...).
    """
    size, frames = tensors[0].shape[:2]
    if size * frames <= num_rows:
        return function(*tensors)
    chunks = zip(*(t.flatten(0, 1).unsqueeze(0).split(num_rows, 1) for t in tensors))
    parts = [checkpoint(function, *chunk, use_reentrant=False) for chunk in chunks]
    return tuple(torch.cat(p, 1)[0].unflatten(0, (size, frames)) for p in zip(*parts))


HEADS = {"joint": JointHead, "factorized": FactorizedHead, "pairwise": PairwiseHead}
