"""The codebook of a residual vector quantizer that a tokenizer has learnt."""

from pathlib import Path
from typing import Optional, Union

import torch

from espnet_fsqdiff.codebook.tables import TableCodebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.rvq import ResidualVQ

# Where the task keeps the quantizer in the state dict of a tokenizer.
PREFIX = "tokenizer.quantizer."


class RVQCodebook(TableCodebook):
    """Token i_1 + M i_2 + ... lives at the sum of its vectors, C_1[i_1] + C_2[i_2] ...

    The table of all K = M^B sums is moved to mean 0 and scaled by one factor, so
    that its largest coordinate is 1 in size: |x_i| <= 1 as for all codebooks. Moving
    and scaling change no ratio of distances, and the tokenizer's decoder sees tokens,
    not these points.

    K is the product of the books, not their sum, so that one softmax and one stream
    of tokens serve RVQ as they serve FSQ; `espnet_fsqdiff.rvq` says why 2 books of 81.

    The file is needed where training starts. The model saves the table, and a
    codebook made without a file takes it from the checkpoint.

    Args:
        tokenizer_file: Weights of a tokenizer that was trained with `quantizer: rvq`.
        dim: n.
        num_books: B.
        book_size: M.

    Raises:
        InputError: If the file is missing, broken, or has no such quantizer; when
            the points are asked for and neither file nor checkpoint gave them.
    """

    def __init__(
        self,
        tokenizer_file: Optional[Union[str, Path]] = None,
        dim: int = 128,
        num_books: int = 2,
        book_size: int = 81,
    ):
        if tokenizer_file is None:
            table = torch.full((book_size**num_books, dim), torch.nan)
        else:
            table = read_sums(tokenizer_file, dim, num_books, book_size)
            table = table - table.mean(0)
            largest = table.abs().max()
            if not largest > 0:
                raise InputError(
                    f"{tokenizer_file}: all vectors of the quantizer are equal; train "
                    "the tokenizer first"
                )
            table = (table / largest).float()
        super().__init__(table)
        self._known = tokenizer_file is not None

    @property
    def points(self) -> torch.Tensor:
        if not self._known:
            raise InputError(
                "codebook rvq has no points yet; give codebook_conf: tokenizer_file, "
                "the weights of the speech tokenizer"
            )
        return super().points

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        saved = state_dict.get(f"{prefix}table")
        if not self._known and saved is not None and saved.shape == self.table.shape:
            self.table.copy_(saved)
            self._known = True
        super()._load_from_state_dict(state_dict, prefix, *args)


def read_sums(
    tokenizer_file: Union[str, Path], dim: int, num_books: int, book_size: int
) -> torch.Tensor:
    """All sums of vectors (M^B, n), float64, of a trained tokenizer's quantizer.

    Raises:
        InputError: If the file is missing, broken, or has no such quantizer.
    """
    from espnet_fsqdiff.states import read_states

    states = read_states(tokenizer_file, "train the tokenizer")
    states = {
        key[len(PREFIX) :]: value
        for key, value in states.items()
        if key.startswith(PREFIX)
    }
    quantizer = ResidualVQ(dim, num_books, book_size).double()
    expected = {key: value.shape for key, value in quantizer.state_dict().items()}
    if {key: value.shape for key, value in states.items()} != expected:
        raise InputError(
            f"{tokenizer_file} has no residual quantizer of {num_books} books of "
            f"{book_size} vectors in {dim} dimensions; set codebook_conf as its "
            "quantizer_conf"
        )
    quantizer.load_state_dict(states)
    return quantizer.indices_to_codes(torch.arange(quantizer.num_codes))
