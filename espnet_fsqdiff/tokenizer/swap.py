"""How far a tokenizer's sound moves when one token of real speech is another."""

from typing import Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tokenizer.model import SpeechTokenizerModel

BATCH = 32  # windows decoded at once


class SwapDistance:
    """Mel distance between real speech and the same with one token swapped.

        d(i, j) = 20 / (F n_mels) sum over frames and bands |mel' - mel|

    in dB, mel and mel' the decoded log10-mels of the tokens around place i, F the mel
    frames of a token: what changes in neighbouring frames counts as if it fell on
    the token's own. Tokens are swapped within real sequences, as the sampler's
    mistakes are, and not decoded alone or in a constant context: the decoder is
    convolutional, has only ever seen speech, and what it makes of one token said over
    and over is its guess at something that does not occur.

    Args:
        model: A tokenizer with a mel decoder, in eval mode.
        utterances: Tokens (T,) of each utterance. Their concatenation is `tokens`.
        context: Tokens kept on either side of a place, at most. Twice what the decoder
            sees on one side, 2 x 18 for 6 blocks of kernel 7, changes nothing: the
            swap is heard up to 18 tokens away, where 18 more count.

    Raises:
        InputError: If there is no mel decoder.
    """

    def __init__(
        self,
        model: SpeechTokenizerModel,
        utterances: Sequence[np.ndarray],
        context: int = 36,
    ):
        if model.decoder is None:
            raise InputError(
                "the tokenizer has no mel decoder; train one with mel_weight > 0"
            )
        self.model = model
        self.context = context
        parts = [torch.as_tensor(u).long() for u in utterances]
        sizes = torch.tensor([len(p) for p in parts])
        ends = sizes.cumsum(0)
        self.tokens = torch.cat(parts)
        self.first = (ends - sizes).repeat_interleave(sizes)
        self.end = ends.repeat_interleave(sizes)

    @torch.no_grad()
    def __call__(self, places: torch.Tensor, substitutes: torch.Tensor) -> torch.Tensor:
        """Places in `tokens` (N,) and tokens put there (N,) to dB (N,), float32."""
        pairs = zip(places.split(BATCH), substitutes.split(BATCH))
        return torch.cat([self._distance(*pair) for pair in pairs])

    def _distance(self, places, substitutes) -> torch.Tensor:
        low = torch.maximum(places - self.context, self.first[places])
        high = torch.minimum(places + self.context + 1, self.end[places])
        real = [self.tokens[a:b] for a, b in zip(low.tolist(), high.tolist())]
        swapped = [window.clone() for window in real]
        for window, at, token in zip(swapped, places - low, substitutes):
            window[at] = token
        device = self.model.mel_mean.device
        lengths = (high - low).to(device)
        before, after = (
            self.model.decode(pad_sequence(w, batch_first=True).to(device), lengths)
            for w in (real, swapped)
        )
        per_token = self.model.frames_per_token
        frames = torch.arange(before.size(1), device=device)
        mask = frames < lengths.unsqueeze(1) * per_token
        moved = (after - before).abs().mean(-1) * mask
        return 20 * moved.sum(1).cpu() / per_token
