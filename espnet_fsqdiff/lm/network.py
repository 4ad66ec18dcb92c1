"""The language model of speech tokens: what it reads, and logits over what comes next.

Two ways to give it the text:

    before the speech (CosyVoice 2):  symbols, begin, token 0, token 1, ...
    laid over the speech:             begin + text 0, token 0 + text 1, ...

In the first it finds its place by itself and says when to stop. In the second the
input that predicts frame t also carries the text that durations lay over frame t -
what the diffusion model sees - and the length is known.
"""

from typing import NamedTuple, Optional

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm.qwen2 import KVCache, Qwen2Decoder
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.nets.text_encoder import TextEncoder


class Given(NamedTuple):
    """A batch of texts, encoded.

    Attributes:
        prefix: Vectors before the speech (B, S, dim); S = 0 if text is laid.
        mask: True on real symbols (B, S).
        positions: Of the symbols (B, S), float.
        start: Position of the begin of speech (B, 1), float.
        laid: Vectors over the frames (B, F, dim), or None.
    """

    prefix: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    start: torch.Tensor
    laid: Optional[torch.Tensor]

    def select(self, rows: torch.Tensor) -> "Given":
        """These utterances (R,) of the batch."""
        return Given(*(None if value is None else value[rows] for value in self))


class TokenLM(nn.Module):
    """Features of the next token from text and the tokens before it.

    Token ids are 0 .. K - 1; K is the begin of speech where read, and the end
    where predicted.

    Args:
        codebook: Gives K, and the points for `points`.
        text_encoder: Symbols to vectors; its convolutions see both neighbours.
        backbone: Causal transformer.
        head: Features to K logits.
        lay_text: Whether text is laid over the speech, by durations.
        text_step: Distance of two symbols before the speech, in frames. 0 puts
            the speech after the text, as CosyVoice 2 does. Otherwise both start
            at 0, and with about as many frames as a symbol takes a symbol stands
            near its frames all the way, which makes the place easy to find.
        table: Whether tokens have an embedding each.
        points: Whether tokens are read by their points in the codebook, as the
            diffusion model reads them; knows rare tokens by their neighbours.
        dropout: Rate on the input vectors.
        max_frames: Most speech tokens.

    Raises:
        InputError: If neither `table` nor `points` is on.
    """

    def __init__(
        self,
        codebook: Codebook,
        text_encoder: TextEncoder,
        backbone: Qwen2Decoder,
        head: nn.Module,
        lay_text: bool,
        text_step: float = 0.0,
        table: bool = True,
        points: bool = False,
        dropout: float = 0.0,
        max_frames: int = 1024,
    ):
        super().__init__()
        if not (table or points):
            raise InputError("network_conf: set table or points, or both")
        dim = backbone.dim
        self.num_codes = codebook.num_codes
        self.lay_text = lay_text
        self.text_step = text_step
        self.max_frames = max_frames
        self.text_encoder = text_encoder
        self.text_affine = nn.Linear(text_encoder.dim, dim)
        self.begin = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.table = nn.Embedding(self.num_codes, dim) if table else None
        if table:
            nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.points_affine = nn.Linear(codebook.dim, dim) if points else None
        self.dropout = nn.Dropout(dropout)
        self.backbone = backbone
        self.head = head
        self.stop = nn.Linear(dim, 1)

    @property
    def begin_id(self) -> int:
        """What stands before the first speech token."""
        return self.num_codes

    @property
    def stop_id(self) -> int:
        """What is predicted after the last."""
        return self.num_codes

    def encode_text(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        durations: Optional[torch.Tensor] = None,
        num_frames: int = 0,
    ) -> Given:
        """Read the texts; once per utterance.

        Args:
            text: Symbol ids (B, S).
            text_lengths: (B,).
            durations: Frames of each symbol (B, S), where text is laid.
            num_frames: F, for how many frames to lay it; zeros follow the last.

        Raises:
            InputError: If text is to be laid and there are no durations.
        """
        size = text.size(0)
        if self.lay_text:
            if durations is None:
                raise InputError("this model lays text by durations; give durations")
            mask = length_mask(durations.sum(1), num_frames)
            vectors = self.text_encoder(text, text_lengths, mask, durations)
            laid = self.text_affine(vectors) * mask.unsqueeze(-1)
            text, start = text[:, :0], torch.zeros_like(text_lengths)
            prefix = laid[:, :0]
        else:
            # The encoder's frames are the symbols themselves.
            real = length_mask(text_lengths, text.size(1))
            vectors = self.text_encoder(text, text_lengths, real, real.long())
            prefix, laid = self.text_affine(vectors), None
            start = torch.zeros_like(text_lengths) if self.text_step else text_lengths
        places = torch.arange(text.size(1), device=text.device).expand(size, -1)
        return Given(
            prefix,
            length_mask(text_lengths, text.size(1)),
            places * (self.text_step or 1.0),
            start.float().unsqueeze(1),
            laid,
        )

    def embed(
        self,
        given: Given,
        tokens: torch.Tensor,
        places: torch.Tensor,
        hide: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Inputs (B, L, dim) of tokens (B, L), K the begin, at places (B, L) from 0.

        Args:
            hide: True where a token is not shown (B, L): regularisation.
        """
        is_begin = (tokens == self.begin_id).unsqueeze(-1)
        codes = tokens.clamp(max=self.num_codes - 1)
        x = torch.zeros((), device=tokens.device)
        if self.table is not None:
            x = x + self.table(codes)
        if self.points_affine is not None:
            # The head owns the codebook, whose points may come with the weights.
            x = x + self.points_affine(self.head.codebook.embed(codes))
        if hide is not None:
            x = x.masked_fill(hide.unsqueeze(-1), 0.0)
        x = torch.where(is_begin, self.begin.to(x.dtype), x)
        if given.laid is not None:
            at = places.unsqueeze(-1).expand(-1, -1, given.laid.size(-1))
            x = x + given.laid.gather(1, at)
        # In mixed precision, what layers add to is kept in full precision.
        return self.dropout(x.float())

    def read(
        self,
        given: Given,
        tokens: torch.Tensor,
        real: Optional[torch.Tensor] = None,
        hide: Optional[torch.Tensor] = None,
        cache: Optional[KVCache] = None,
    ) -> torch.Tensor:
        """Read text and first tokens at once.

        Args:
            given: The texts.
            tokens: Speech tokens (B, L); the begin is put before them.
            real: True on tokens that are there (B, L); all if None. Padding at
                the end is seen by nothing before it anyway.
            hide: True where a token is not shown (B, L).
            cache: Filled.

        Returns:
            Features (B, L + 1, dim): of what follows the begin and each token.
        """
        tokens = F.pad(tokens, (1, 0), value=self.begin_id)
        if hide is not None:
            hide = F.pad(hide, (1, 0), value=False)
        if real is None:
            real = torch.ones_like(tokens, dtype=torch.bool)
        else:
            real = F.pad(real, (1, 0), value=True)
        places = torch.arange(tokens.size(1), device=tokens.device)
        places = places.expand(tokens.size(0), -1)
        speech = self.embed(given, tokens, places, hide)
        x = torch.cat([self.dropout(given.prefix).to(speech.dtype), speech], dim=1)
        positions = torch.cat([given.positions, given.start + places], dim=1)
        seen = torch.cat([given.mask, real], dim=1)
        causal = seen.new_ones(x.size(1), x.size(1)).tril()
        mask = (seen.unsqueeze(1) & causal).unsqueeze(1)
        features = self.backbone(x, positions, mask, cache)
        return features[:, given.prefix.size(1) :]

    def read_next(
        self,
        given: Given,
        tokens: torch.Tensor,
        places: torch.Tensor,
        seen: torch.Tensor,
        cache: KVCache,
    ) -> torch.Tensor:
        """Read one more token of each utterance.

        Args:
            given: The texts.
            tokens: (B,).
            places: Number of speech tokens before each, plus one (B,).
            seen: True on what there is in the cache and the token itself (B, M).
            cache: What was read.

        Returns:
            Features (B, dim) of what follows.
        """
        places = places.unsqueeze(1)
        x = self.embed(given, tokens.unsqueeze(1), places)
        mask = seen.unsqueeze(1).unsqueeze(1)
        return self.backbone(x, given.start + places, mask, cache)[:, 0]

    def forward(
        self,
        tokens: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        durations: Optional[torch.Tensor] = None,
        hide: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Features (B, T + 1, dim) of tokens (B, T) and of what follows the last.

        Arguments as in `encode_text` and `read`.
        """
        given = self.encode_text(text, text_lengths, durations, tokens.size(1) + 1)
        return self.read(given, tokens, hide=hide)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features (..., dim) to logits (..., K + 1), the last that of the end."""
        return torch.cat([self.head(features), self.stop(features)], dim=-1)
