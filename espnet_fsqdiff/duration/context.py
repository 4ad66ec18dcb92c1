"""A duration predictor that sees the neighbours of a symbol."""

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from espnet_fsqdiff.duration.base import MIN_PREDICTED, AbsDuration, boundary_error
from espnet_fsqdiff.duration.table import DurationTable
from espnet_fsqdiff.errors import InputError

_FORWARD = {"log": np.log, "sqrt": np.sqrt, "linear": lambda d: d}
_BACKWARD = {
    "log": lambda m: np.exp(np.minimum(m, 6.0)),
    "sqrt": lambda m: np.maximum(m, 0.0) ** 2,
    "linear": lambda m: np.maximum(m, 0.0),
}


class ContextDuration(AbsDuration):
    """Ridge regression of a symbol's frames on the symbols around it.

    The features are the symbols at the offsets -reach..+reach (past an edge of
    the text: none) and the pairs (previous, this) and (this, next). A feature is
    an integer key, and prediction is a lookup of keys.

    Args:
        token_list: Names of the V text symbols.
        keys: Sorted keys of the features kept (F,), int64.
        weights: Their weights (F,).
        bias: Prediction where no feature is known.
        transform: What the regression predicts: `log`, `sqrt` or `linear` frames.
        scale: Factor on the frames that makes their sum right on the training
            set.
        reach: Symbols looked at on either side.
        length: If given, the total comes from this table and the regression
            shares it out among the symbols. Lengths are measured exactly while an
            alignment may be poor.
    """

    kind = "context"

    def __init__(
        self,
        token_list: Sequence[str],
        keys: np.ndarray,
        weights: np.ndarray,
        bias: float,
        transform: str = "log",
        scale: float = 1.0,
        reach: int = 3,
        length: Optional[DurationTable] = None,
    ):
        super().__init__(token_list)
        self.keys = np.asarray(keys, dtype=np.int64)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.bias, self.scale, self.reach = float(bias), float(scale), int(reach)
        if transform not in _BACKWARD:
            raise ValueError(f"unknown transform {transform}")
        self.transform, self.length = transform, length
        if self.keys.shape != self.weights.shape or (np.diff(self.keys) <= 0).any():
            raise ValueError("keys are not sorted or do not match the weights")
        if not np.isfinite([*self.weights, self.bias, self.scale]).all():
            raise ValueError("a weight is not finite")

    @classmethod
    def fit(
        cls,
        token_list: Sequence[str],
        texts: Sequence[np.ndarray],
        durations: Sequence[np.ndarray],
        transforms: Sequence[str] = ("log", "sqrt", "linear"),
        ridges: Sequence[float] = (1.0, 5.0, 25.0),
        reach: int = 3,
        min_count: int = 3,
        max_features: int = 4000,
    ) -> "ContextDuration":
        """Fit on aligned utterances.

        The transform and the ridge are those with the least `boundary_error` on
        every eighth utterance when fitted on the others; so it is decided whether
        the total comes from a table. The result is fitted on all.

        Args:
            token_list: Names of the V text symbols.
            texts: Text ids of N utterances, each (S,).
            durations: Frames of every symbol, each (S,), >= 1.
            transforms: Transforms to choose among.
            ridges: Ridge penalties to choose among.
            reach: Symbols looked at on either side.
            min_count: A feature seen less often is dropped.
            max_features: The most frequent ones are kept (the fit takes memory
                with its square).

        Raises:
            InputError: There are no utterances.
        """
        if len(texts) == 0:
            raise InputError("no utterances to fit durations on; check the data dir")
        fit_one = _RidgeFit(token_list, reach, min_count, max_features)
        choices = [(t, r) for t in transforms for r in ridges]
        with_table = False
        if len(texts) >= 16:
            held = np.arange(len(texts)) % 8 == 7
            part = [x for x, h in zip(zip(texts, durations), held) if not h]
            test = [x for x, h in zip(zip(texts, durations), held) if h]
            models = fit_one(*zip(*part), choices)
            errors = [boundary_error(model, *zip(*test)) for model in models]
            best = int(np.argmin(errors))
            choices = [choices[best]]
            models[best].length = _length_table(token_list, *zip(*part))
            with_table = boundary_error(models[best], *zip(*test)) < errors[best]
        model = fit_one(texts, durations, choices[:1])[0]
        if with_table:
            model.length = _length_table(token_list, texts, durations)
        return model

    def predict(self, ids: np.ndarray) -> np.ndarray:
        """See `AbsDuration.predict`."""
        features = _feature_keys(self.checked(ids), len(self.token_list), self.reach)
        mean = np.full(len(features), self.bias)
        if len(self.keys) > 0:
            at = np.searchsorted(self.keys, features).clip(max=len(self.keys) - 1)
            mean += np.where(self.keys[at] == features, self.weights[at], 0.0).sum(1)
        frames = _BACKWARD[self.transform](mean) * self.scale
        frames = np.maximum(frames, MIN_PREDICTED)
        if self.length is not None:
            frames *= self.length.total(ids) / frames.sum()
        return frames

    def to_dict(self) -> Dict[str, Any]:
        """See `AbsDuration.to_dict`. The symbol past an edge is null."""
        names = self.token_list + [None]
        K = len(names)
        width = 2 * self.reach + 1
        offsets: Dict[int, Dict] = {o - self.reach: {} for o in range(width)}
        pairs: List[Dict] = [{}, {}]
        for key, weight in zip(self.keys.tolist(), self.weights.round(5).tolist()):
            if key < width * K:
                offsets[key // K - self.reach][names[key % K]] = weight
            else:
                which, pair = divmod(key - width * K, K * K)
                first = pairs[which].setdefault(names[pair // K], {})
                first[names[pair % K]] = weight
        return {
            "transform": self.transform,
            "scale": self.scale,
            "bias": self.bias,
            "reach": self.reach,
            "length": None if self.length is None else self.length.to_dict(),
            "symbol_at_offset": offsets,
            "previous_and_this": pairs[0],
            "this_and_next": pairs[1],
        }

    @classmethod
    def from_dict(
        cls, data: Dict[str, Any], token_list: List[str]
    ) -> "ContextDuration":
        """See `AbsDuration.from_dict`."""
        ids = {name: i for i, name in enumerate([*token_list, None])}
        K, reach = len(ids), int(data["reach"])
        width = 2 * reach + 1
        weights = {}
        for offset, table in data["symbol_at_offset"].items():
            if abs(offset) > reach:
                raise ValueError(f"offset {offset} is beyond the reach of {reach}")
            for name, weight in table.items():
                weights[(offset + reach) * K + ids[name]] = float(weight)
        for which, field in enumerate(("previous_and_this", "this_and_next")):
            start = width * K + which * K * K
            for first, table in data[field].items():
                for second, weight in table.items():
                    weights[start + ids[first] * K + ids[second]] = float(weight)
        keys = sorted(weights)
        length = data["length"]
        if length is not None:
            length = DurationTable.from_dict(length, token_list)
        return cls(
            token_list,
            np.array(keys, dtype=np.int64),
            np.array([weights[k] for k in keys]),
            bias=float(data["bias"]),
            transform=str(data["transform"]),
            scale=float(data["scale"]),
            reach=reach,
            length=length,
        )


def _length_table(token_list, texts, durations) -> DurationTable:
    return DurationTable.fit(token_list, texts, [d.sum() for d in durations])


def _feature_keys(ids: np.ndarray, num_symbols: int, reach: int) -> np.ndarray:
    """Keys of the features of every symbol (S, 2 reach + 3), int64."""
    K = num_symbols + 1  # the last one is the symbol past an edge
    width = 2 * reach + 1
    padded = np.pad(ids, reach, constant_values=num_symbols)
    around = np.lib.stride_tricks.sliding_window_view(padded, width)
    before, this, after = around[:, reach - 1 : reach + 2].T
    pairs = np.stack([before * K + this, K * K + this * K + after], axis=1)
    return np.concatenate([around + np.arange(width) * K, width * K + pairs], axis=1)


class _RidgeFit:
    """Ridge regressions that share one design matrix."""

    def __init__(self, token_list, reach, min_count, max_features):
        self.token_list, self.reach = token_list, reach
        self.min_count, self.max_features = min_count, max_features

    def __call__(self, texts, durations, choices) -> List[ContextDuration]:
        from scipy.linalg import solve
        from scipy.sparse import csr_matrix, hstack

        V = len(self.token_list)
        features = np.concatenate([_feature_keys(t, V, self.reach) for t in texts])
        frames = np.concatenate(durations).astype(np.float64)
        keys, column, counts = np.unique(
            features, return_inverse=True, return_counts=True
        )
        column = column.reshape(features.shape)
        kept = counts >= self.min_count
        if kept.sum() > self.max_features:
            order = np.argsort(-np.where(kept, counts, 0), kind="stable")
            kept = np.zeros(len(keys), dtype=bool)
            kept[order[: self.max_features]] = True
        position = np.cumsum(kept) - 1
        row, slot = np.nonzero(kept[column])
        column = position[column[row, slot]]
        shape = (len(frames), int(kept.sum()))
        design = csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
        design = hstack([design, np.ones((len(frames), 1))], format="csr")
        gram = (design.T @ design).toarray()

        models = []
        for transform, ridge in choices:
            penalty = np.full(len(gram), ridge)
            penalty[-1] = 1e-6  # the bias goes free
            right = design.T @ _FORWARD[transform](frames)
            weights = solve(gram + np.diag(penalty), right, assume_a="pos")
            predicted = _BACKWARD[transform](design @ weights)
            models.append(
                ContextDuration(
                    self.token_list,
                    keys[kept],
                    weights[:-1],
                    bias=weights[-1],
                    transform=transform,
                    scale=frames.sum() / predicted.sum(),
                    reach=self.reach,
                )
            )
        return models
