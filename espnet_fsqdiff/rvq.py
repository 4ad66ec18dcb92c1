"""Residual vector quantization (Zeghidour et al., 2021, arXiv 2107.03312).

B books of M vectors in R^n. Book 1 names the vector nearest to the latent, every
further book the one nearest to what the books before have left over:

    r_1 = x,   i_b = argmin_i |r_b - C_bi|^2,   r_{b+1} = r_b - C_{b, i_b}
    code  = sum_b C_{b, i_b}
    index = sum_b i_b M^(b - 1)

The B numbers make one index, the digits of a number to the base M, so that a token
is one of K = M^B as with FSQ and everything downstream stays as it is. The default,
2 books of 81, has K = 6561 = 3^8: as many bits a token as the FSQ of 8 dimensions and 3
levels, in one stream at the same rate, so that the two can be compared with the same
networks. (8 books of 3 would have as many sums; but three vectors a book are a far
coarser quantizer than RVQ is used with.)
"""

from typing import Dict, Tuple

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import check_indices


def _sample_of_first(samples: torch.Tensor, num: int) -> torch.Tensor:
    """Vectors (num, n) of the first process's batch, the same in every process.

    ESPnet's own function has each process send some of its vectors and does not
    wait for them.
    """
    from espnet2.gan_codec.shared.quantizer.modules.core_vq import sample_vectors

    sample = sample_vectors(samples, num).contiguous()
    torch.distributed.broadcast(sample, src=0)
    return sample


class ResidualVQ(nn.Module):
    """ESPnet's residual vector quantizer with the interface of `fsq.FSQ`.

    Its vectors are no parameters: they start as the k-means of the first training
    batch and then follow the latents that they stand for (moving averages); one
    that stands for too few is put on a random latent of the batch. Samples come
    from torch's global generator. With several processes, sums are over the
    latents of all of them and the random samples those of the first.

    Args:
        dim: n.
        num_books: B.
        book_size: M.
        decay: Of the moving averages.
        kmeans_iters: Rounds of k-means on the first batch.
        dead_code_threshold: Latents a batch, on average, below which a vector is
            moved; 0 never moves one.
        commitment_weight: Of the commitment loss, see `penalty`.

    Raises:
        InputError: If a size is below 1 (2 for `book_size`).
    """

    def __init__(
        self,
        dim: int = 128,
        num_books: int = 2,
        book_size: int = 81,
        decay: float = 0.99,
        kmeans_iters: int = 20,
        dead_code_threshold: int = 1,
        commitment_weight: float = 0.25,
    ):
        super().__init__()
        if dim < 1 or num_books < 1 or book_size < 2:
            raise InputError(
                f"rvq: {num_books} books of {book_size} vectors in {dim} dimensions; "
                "give at least 1 book, 2 vectors and 1 dimension"
            )
        self.dim = dim
        self.num_books = num_books
        self.book_size = book_size
        self.num_codes = book_size**num_books
        if self.num_codes >= 2**63:
            raise InputError("rvq: more than 2^63 codes")
        self.commitment_weight = commitment_weight
        from espnet2.gan_codec.shared.quantizer.modules.core_vq import (
            ResidualVectorQuantization,
        )

        self.vq = ResidualVectorQuantization(
            num_quantizers=num_books,
            dim=dim,
            codebook_size=book_size,
            decay=decay,
            kmeans_init=True,
            kmeans_iters=kmeans_iters,
            threshold_ema_dead_code=dead_code_threshold,
        )
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            if torch.distributed.get_world_size() > 1:
                for layer in self.vq.layers:
                    layer._codebook.sample_fn = _sample_of_first
        basis = torch.tensor([book_size**b for b in range(num_books)])
        # Non-persistent: averaging checkpoints would add up integer buffers.
        self.register_buffer("_basis", basis, persistent=False)

    def extra_repr(self) -> str:
        return f"{self.num_books} books of {self.book_size}, dim={self.dim}"

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Quantize, passing gradients straight through; in training also learn.

        Args:
            x: Latents (..., n), any float type, of real frames alone: in training
                the vectors follow all that is given.

        Returns:
            codes: Sums of vectors (..., n), float32.
            indices: Their numbers (...,), int64.
        """
        with torch.autocast(x.device.type, enabled=False):
            # ESPnet's layout: one utterance of (n, frames).
            rows = x.float().reshape(1, -1, self.dim).transpose(1, 2)
            if self.training:
                codes, digits, _ = self.vq(rows)
            else:
                digits = self.vq.encode(rows)
                codes = self.vq.decode(digits)
        codes = codes.transpose(1, 2).reshape(x.shape)
        digits = digits.reshape(self.num_books, *x.shape[:-1]).movedim(0, -1)
        return codes, (digits * self._basis).sum(-1)

    def penalty(
        self, latents: torch.Tensor, codes: torch.Tensor
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        """Commitment loss (van den Oord et al., 2017): latents stay near their codes.

            weight * mean (x - stopgrad(code))^2

        of what all books together have left over. Without it nothing holds the
        latents, whose gradient is that of their codes, where vectors are.

        Args:
            latents: Of real frames (N, n).
            codes: What `forward` made of them (N, n).

        Returns:
            The loss (scalar), and `commitment_loss`, the same without its weight.
        """
        commitment = F.mse_loss(latents.float(), codes.detach())
        return self.commitment_weight * commitment, {"commitment_loss": commitment}

    def indices_to_digits(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices (...,) to the number in each book (..., B), int64.

        Raises:
            InputError: If an index lies outside 0 .. K - 1.
        """
        indices = indices.long()
        check_indices(indices, self.num_codes)
        return indices.unsqueeze(-1) // self._basis % self.book_size

    def indices_to_codes(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices (...,) to sums of vectors (..., n), float32."""
        digits = self.indices_to_digits(indices)
        rows = digits.reshape(1, -1, self.num_books).movedim(-1, 0)
        codes = self.vq.decode(rows).transpose(1, 2)
        return codes.reshape(*indices.shape, self.dim)
