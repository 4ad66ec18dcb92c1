"""How well speech tokens say a text, by the recognition head of their tokenizer."""

from typing import List, Sequence

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.tokenizer import SpeechTokenizer


def ctc_scores(
    log_probs: Sequence[torch.Tensor], texts: Sequence[np.ndarray]
) -> List[float]:
    """log p(text | speech) / S by CTC, in nats per symbol.

    Args:
        log_probs: Log-probabilities (T, V + 1) of each utterance, the blank first.
        texts: Symbol ids (S,) from 0 of each.

    Returns:
        One score each, at most 0; -inf where the text has more symbols than the
        frames can hold.
    """
    targets = [torch.as_tensor(text) + 1 for text in texts]
    sizes = torch.tensor([len(text) for text in targets])
    padded = pad_sequence(list(log_probs), batch_first=True)
    nats = F.ctc_loss(
        padded.transpose(0, 1).float().cpu(),
        pad_sequence(targets, batch_first=True),
        torch.tensor([len(p) for p in log_probs]),
        sizes,
        blank=0,
        reduction="none",
    )
    return (-nats / sizes).tolist()


@torch.no_grad()
def token_scores(
    tokenizer: SpeechTokenizer,
    tokens: Sequence[torch.Tensor],
    texts: Sequence[np.ndarray],
) -> List[float]:
    """`ctc_scores` of tokens (T,) for the tokenizer's own symbol ids (S,)."""
    model = tokenizer.model
    lengths = torch.tensor([len(t) for t in tokens], device=tokenizer.device)
    ids = pad_sequence([t.long() for t in tokens], batch_first=True)
    codes = model.quantizer.indices_to_codes(ids.to(tokenizer.device))
    log_probs = model.ctc_log_probs(codes, lengths)
    return ctc_scores([p[: len(t)] for p, t in zip(log_probs, tokens)], texts)
