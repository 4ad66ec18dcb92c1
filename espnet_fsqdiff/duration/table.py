"""The paper's duration predictor: a mean per symbol."""

from typing import Any, Dict, List, Sequence

import numpy as np

from espnet_fsqdiff.duration.base import MIN_PREDICTED, AbsDuration
from espnet_fsqdiff.errors import InputError


class DurationTable(AbsDuration):
    """The mean number of frames of every symbol (the paper's predictor).

    Args:
        token_list: Names of the V text symbols.
        values: Frames of every symbol (V,), >= 0.
    """

    kind = "table"

    def __init__(self, token_list: Sequence[str], values: np.ndarray):
        super().__init__(token_list)
        self.values = np.asarray(values, dtype=np.float64)
        if self.values.shape != (len(self.token_list),):
            raise ValueError(f"{len(self.token_list)} symbols, {len(values)} values")
        if not np.isfinite(self.values).all() or (self.values < 0).any():
            raise ValueError("a duration is negative or not finite")

    @classmethod
    def fit(
        cls,
        token_list: Sequence[str],
        texts: Sequence[np.ndarray],
        num_tokens: Sequence[int],
        ridge: float = 1.0,
    ) -> "DurationTable":
        """Non-negative least squares of token counts on symbol counts.

        Args:
            token_list: Names of the V text symbols.
            texts: Text ids of N utterances, each (S,).
            num_tokens: Speech tokens of each (N,).
            ridge: Pull towards the mean over all symbols, in utterances'
                worth: unseen symbols get that mean.

        Raises:
            InputError: There are no utterances.
        """
        from scipy.linalg import cholesky, solve_triangular
        from scipy.optimize import nnls

        if len(texts) == 0:
            raise InputError("no utterances to fit durations on; check the data dir")
        counts = _count_matrix(texts, len(token_list))
        lengths = np.asarray(num_tokens, dtype=np.float64)
        mean = lengths.sum() / counts.sum()
        # The same minimum as with the (N, V) problem, but only (V, V) large.
        gram = (counts.T @ counts).toarray() + ridge * np.eye(len(token_list))
        upper = cholesky(gram)
        right = solve_triangular(upper, counts.T @ lengths + ridge * mean, trans="T")
        return cls(token_list, nnls(upper, right)[0])

    def predict(self, ids: np.ndarray) -> np.ndarray:
        """See `AbsDuration.predict`."""
        return np.maximum(self.values[self.checked(ids)], MIN_PREDICTED)

    def to_dict(self) -> Dict[str, Any]:
        """See `AbsDuration.to_dict`."""
        named = zip(self.token_list, self.values.round(4).tolist())
        return {"frames": dict(named)}

    @classmethod
    def from_dict(cls, data: Dict[str, Any], token_list: List[str]) -> "DurationTable":
        """See `AbsDuration.from_dict`."""
        return cls(token_list, np.array([float(data["frames"][s]) for s in token_list]))


def _count_matrix(texts, num_symbols: int):
    """Symbol counts, sparse (N, V) float64."""
    from scipy.sparse import csr_matrix

    row = np.repeat(np.arange(len(texts)), [len(t) for t in texts])
    column = np.concatenate(texts)
    ones = np.ones(len(column))
    return csr_matrix((ones, (row, column)), shape=(len(texts), num_symbols))
