"""What `Text2Speech` asks of a model that makes speech tokens from text."""

import zlib
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.errors import InputError


class Spoken(NamedTuple):
    """Tokens of one utterance.

    Attributes:
        tokens: (N,), int64, on the CPU.
        complete: False if the model did not come to an end and was cut off.
    """

    tokens: torch.Tensor
    complete: bool = True


def padded_batch(
    text: Sequence[torch.Tensor],
    tokens: Sequence[torch.Tensor],
    durations: Optional[Sequence[torch.Tensor]],
    device: torch.device,
) -> Tuple[torch.Tensor, ...]:
    """Utterances as the losses take them.

    Returns:
        Tokens (B, T), lengths (B,), symbol ids (B, S), lengths (B,), durations (B, S)
        or None.
    """

    def padded(rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return pad_sequence([row.long() for row in rows], batch_first=True).to(device)

    def sizes(rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.tensor([len(row) for row in rows], device=device)

    laid = None if durations is None else padded(durations)
    return padded(tokens), sizes(tokens), padded(text), sizes(text), laid


class TextToToken:
    """Diffusion decoder or language model, trained.

    Attributes:
        codebook: Of the speech tokens.
        sampling_class: Dataclass of the options of sampling.
    """

    codebook: Codebook
    sampling_class: type

    @property
    def max_frames(self) -> int:
        """Most speech tokens of an utterance."""
        raise NotImplementedError

    @property
    def takes_prompts(self) -> bool:
        """Whether it was trained to go on with speech that is given."""
        raise NotImplementedError

    def generate(
        self,
        text: Sequence[torch.Tensor],
        num_frames: Sequence[int],
        durations: Optional[Sequence[torch.Tensor]] = None,
        seeds: Optional[Sequence[int]] = None,
        sampling: Any = None,
        prompts: Optional[Sequence[torch.Tensor]] = None,
    ) -> List[torch.Tensor]:
        """Tokens of the lengths given; each utterance gets what it would get alone.

        Args:
            text: Symbol ids (S,) of each utterance, its prompt's before them.
            num_frames: Tokens of each, its prompt's among them.
            durations: Frames of each symbol (S,), where the model lays text by
                them.
            seeds: One per utterance.
            sampling: Of `sampling_class`; its defaults if not given.
            prompts: Tokens (P,) that each goes on from; None for none.

        Returns:
            Tokens (num_frames - P,), int64, of each, on the CPU.
        """
        raise NotImplementedError

    def speak(self, text, num_frames, *args, **options) -> List[Spoken]:
        """As `generate`, but a model that knows when to stop decides on the lengths.

        `num_frames` are then those that the duration model predicts.
        """
        return [Spoken(t) for t in self.generate(text, num_frames, *args, **options)]

    def log_likelihood(
        self,
        text: Sequence[torch.Tensor],
        tokens: Sequence[torch.Tensor],
        durations: Optional[Sequence[torch.Tensor]] = None,
    ) -> List[float]:
        """log p(tokens | text) as the model can tell it, to compare takes of a text.

        Args:
            text: Symbol ids (S,) of each utterance.
            tokens: (T,), int64, of each.
            durations: Frames of each symbol (S,), where the model lays text by
                them.

        Returns:
            Nats per token of each.
        """
        raise NotImplementedError

    def rollout_accuracy(
        self,
        utt_ids: Sequence[str],
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        durations: Optional[torch.Tensor],
        sampling: Any,
    ) -> torch.Tensor:
        """Share of true tokens that sampling with the true lengths gives.

        Args:
            utt_ids: Names, which seed the sampling.
            tokens: True tokens (B, T).
            lengths: (B,).
            text: Symbol ids (B, S).
            text_lengths: (B,).
            durations: (B, S), where the model lays text by them.
            sampling: Of `sampling_class`.
        """
        sampled = self.generate(
            [ids[:n] for ids, n in zip(text, text_lengths)],
            lengths.tolist(),
            durations,
            seeds=[zlib.crc32(name.encode()) for name in utt_ids],
            sampling=sampling,
        )
        right = [
            (ids.to(true.device) == true[: len(ids)]).float().mean()
            for ids, true in zip(sampled, tokens)
        ]
        return torch.stack(right).mean()

    def compile_network(self) -> None:
        """Compile the network (`torch.compile`).

        Raises:
            InputError: If this kind of model is not to be compiled.
        """
        raise InputError(
            "compile: this model is not compiled, its input grows with every token; "
            "leave the option out"
        )
