"""Next-token cross-entropy of speech tokens and the end."""

from typing import Dict, Optional, Tuple

import torch
from torch.nn import functional as F

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm.network import TokenLM
from espnet_fsqdiff.nets.heads import in_chunks
from espnet_fsqdiff.nets.masks import length_mask, masked_mean


class LMLoss:
    """-log p(token t | text, tokens before t), and of the end after the last.

    Text is read and not scored. Where text is laid over the speech the length is
    known, and the end is not scored either.

    Args:
        label_smoothing: Share of the target that is spread over all tokens, in
            training.
        token_mask: Share of the tokens that training does not show to the
            network: it then has to look at the text.
        max_logits: Most logits that exist at once; larger batches are worked off
            in chunks.

    Raises:
        InputError: If a share is not in [0, 1).
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        token_mask: float = 0.0,
        max_logits: int = 2**27,
    ):
        shares = dict(label_smoothing=label_smoothing, token_mask=token_mask)
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise InputError(f"loss_conf: {name} is {share}; give 0 to below 1")
        self.label_smoothing = label_smoothing
        self.token_mask = token_mask
        self.max_logits = max_logits

    def __call__(
        self,
        network: TokenLM,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        durations: Optional[torch.Tensor] = None,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        """Loss of a batch; regularised if the network is in training mode.

        Args:
            network: Gives features and logits.
            tokens: True tokens (B, T), int64, 0 in the padding.
            lengths: Tokens of each utterance (B,).
            text: Symbol ids (B, S).
            text_lengths: Symbols of each utterance (B,).
            durations: Frames of each symbol (B, S) or None.

        Returns:
            Nats per token of each utterance (B,), and statistics (B,): `accuracy`
            of the tokens, and `stop_accuracy`, 1 where the end was the most
            likely token where it was due, if the end is scored.
        """
        hide, smoothing = None, 0.0
        if network.training:
            smoothing = self.label_smoothing
            if self.token_mask > 0:
                chance = torch.rand(tokens.shape, device=tokens.device)
                hide = chance < self.token_mask
        features = network(tokens, text, text_lengths, durations, hide)
        frames = features.size(1)
        at = lengths.unsqueeze(1)
        targets = F.pad(tokens, (0, 1)).scatter(1, at, network.stop_id)

        def score(features: torch.Tensor, targets: torch.Tensor):
            logits = network.logits(features).float()
            loss = F.cross_entropy(
                logits.flatten(0, 1),
                targets.flatten(),
                reduction="none",
                label_smoothing=smoothing,
            )
            right = logits.detach().argmax(-1) == targets
            return loss.view_as(targets), right.float()

        num_rows = max(1, self.max_logits // (network.num_codes + 1))
        loss, right = in_chunks(score, num_rows, features, targets)
        stats = {"accuracy": masked_mean(right, length_mask(lengths, frames))}
        scored = length_mask(lengths + (not network.lay_text), frames)
        if not network.lay_text:
            stats["stop_accuracy"] = right.gather(1, at).squeeze(1)
        return masked_mean(loss, scored), stats
