"""What every duration predictor offers, and its error measures."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

KAPPA_RANGE = (0.8, 1.1)
FORMAT_VERSION = 1
# No symbol is predicted to be shorter than this many frames.
MIN_PREDICTED = 0.05


class AbsDuration:
    """Predicts frames per text symbol.

    Args:
        token_list: Names of the text symbols; their positions are the ids.
    """

    kind: str

    def __init__(self, token_list: Sequence[str]):
        self.token_list = list(token_list)

    def predict(self, ids: np.ndarray) -> np.ndarray:
        """Frames of every symbol (S,), float64, of text ids (S,)."""
        raise NotImplementedError

    def total(self, ids: np.ndarray) -> float:
        """Frames of the whole text."""
        return float(self.predict(ids).sum())

    def kappa(
        self,
        prompt_ids: np.ndarray,
        num_prompt_tokens: int,
        clip: Tuple[float, float] = KAPPA_RANGE,
    ) -> float:
        """How much slower (> 1) or faster the prompt is than predicted.

        Args:
            prompt_ids: Text ids of the prompt (S,).
            num_prompt_tokens: Speech tokens of the prompt.
            clip: Least and greatest value returned.

        Returns:
            A factor to multiply the predicted durations by.
        """
        return float(np.clip(num_prompt_tokens / self.total(prompt_ids), *clip))

    def to_dict(self) -> Dict[str, Any]:
        """The contents of the yaml file, symbols by name."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, data: Dict[str, Any], token_list: List[str]) -> "AbsDuration":
        """The reverse of `to_dict`; raises KeyError, TypeError, ValueError."""
        raise NotImplementedError

    def save(self, path: Union[str, Path]) -> None:
        """Write the yaml file, whole or not at all."""
        import yaml

        data = {"kind": self.kind, "version": FORMAT_VERSION}
        data["token_list"] = self.token_list
        data.update(self.to_dict())
        with atomic_path(path) as aside, open(aside, "w", encoding="utf-8") as f:
            yaml.safe_dump(data, f, sort_keys=False, allow_unicode=True)

    def checked(self, ids: np.ndarray) -> np.ndarray:
        """`ids` as int64; raises InputError if empty or outside the table."""
        ids = np.asarray(ids, dtype=np.int64)
        if len(ids) == 0:
            raise InputError("the text is empty; give at least one symbol")
        bad = ids[(ids < 0) | (ids >= len(self.token_list))]
        if len(bad) > 0:
            raise InputError(
                f"text id {bad[0]} is outside the duration table's "
                f"{len(self.token_list)} symbols; use the table's token list"
            )
        return ids


def length_error(model: AbsDuration, texts, num_tokens) -> float:
    """Mean relative error of the predicted total length over utterances."""
    predicted = np.array([model.total(t) for t in texts])
    true = np.asarray(num_tokens, dtype=np.float64)
    return float(np.mean(np.abs(predicted - true) / true))


def boundary_error(model: AbsDuration, texts, durations, scaled: bool = False) -> float:
    """Mean distance between predicted and aligned ends of symbols, in frames.

    Args:
        model: The predictor.
        texts: Text ids, each (S,).
        durations: Aligned frames, each (S,).
        scaled: Scale every prediction to the true total first.
    """
    distance, count = 0.0, 0
    for ids, true in zip(texts, durations):
        predicted = model.predict(ids)
        if scaled:
            predicted = predicted * (true.sum() / predicted.sum())
        distance += np.abs(np.cumsum(predicted) - np.cumsum(true)).sum()
        count += len(ids)
    return float(distance / count)
