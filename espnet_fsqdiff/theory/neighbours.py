"""Do near latents mean near sounds?

D(E) and A(E, r) do not change when the points of a codebook are dealt to the tokens
in another order: they say how well tokens are told apart, not what it costs to take
one for another. A denoiser is wrong most often between neighbours, and its estimate,
a mean of points, is a point between them. Where neighbours sound alike, both are a
small matter; where they do not, both are heard.
"""

import math
from typing import Callable, NamedTuple, Union

import torch

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.theory.points import CHUNK_ENTRIES, as_points, seeded

# Distances within this share of each other are ties: a grid has many.
TIE = 1e-6


class NeighbourDistance(NamedTuple):
    """What `neighbour_mel_distance` finds.

    Attributes:
        near: Mean distance of a token to a latent neighbour, in the unit of the
            distance given.
        random: Mean distance to a random token.
        ratio: near / random.
        standard_error: Of the ratio, by chance of the places drawn.
    """

    near: float
    random: float
    ratio: float
    standard_error: float


def draw_nearest(
    points: torch.Tensor, rows: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """One of the nearest other points of each row, ties drawn with equal chance.

    Args:
        points: (V, n), V at least 2.
        rows: Numbers of points (N,), int64.
        generator: Of the draws.

    Returns:
        Numbers of points (N,), int64.
    """
    points = points.double()
    square = points.square().sum(-1)
    found = []
    for part in rows.split(max(1, CHUNK_ENTRIES // len(points))):
        distance = square[part].unsqueeze(1) + square - 2 * points[part] @ points.T
        distance = distance.clamp(min=0)
        distance[torch.arange(len(part)), part] = torch.inf
        least = distance.amin(-1, keepdim=True)
        ties = distance <= least * (1 + TIE) + 1e-12
        found.append(torch.multinomial(ties.double(), 1, generator=generator)[:, 0])
    return torch.cat(found)


def neighbour_mel_distance(
    codebook: Union[torch.Tensor, Codebook],
    tokens: torch.Tensor,
    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    num_samples: int = 1000,
    seed: int = 0,
) -> NeighbourDistance:
    """Distance in sound between latent neighbours, relative to random tokens.

        rho = E d(i, N(k_i)) / E d(i, R(k_i))

    over places i of real speech, k_i the token there, so that tokens count by how
    often they occur; d(i, j) is how far the sound moves when token j is put at place
    i. N(k) is the nearest other point of E_k among the tokens that occur (drawn with
    equal chance from those equally near), R(k) any other token that occurs, with
    equal chance. Tokens that never occur are left out of both: no decoder has
    learnt their sound.

    Points dealt to the occurring tokens in random order give rho = 1 in the mean over
    the orders, whatever the points and the sounds, since N(k) is then as random as
    R(k); 0 means that neighbours cannot be told apart by ear. It is a property of a
    codebook and a decoder together.

    Args:
        codebook: Points (K, n) or a codebook.
        tokens: Tokens of real speech (M,), int64, laid end to end.
        distance: Places (N,) and substitutes (N,) to distances (N,), at least 0; for a
            table d(k, j) alone: `lambda i, j: table[tokens[i], j]`. For a trained
            tokenizer see `espnet_fsqdiff.tokenizer.swap`.
        num_samples: Places drawn, N; both means are taken over the same.
        seed: Of the draws; the same seed draws the same places and random tokens for
            every codebook.

    Returns:
        Both means, their ratio and its standard error.

    Raises:
        ValueError: If fewer than 3 tokens occur: of two, each is the other's
            neighbour whatever the codebook.
    """
    points, tokens = as_points(codebook), torch.as_tensor(tokens).long()
    occurring, numbers = tokens.unique(return_inverse=True)
    size = len(occurring)
    if size < 3:
        raise ValueError(f"{size} tokens occur; give speech of three or more")
    generator = seeded(seed)
    place = torch.randint(len(tokens), (num_samples,), generator=generator)
    own = numbers[place]
    other = torch.randint(size - 1, (num_samples,), generator=generator)
    other = other + (other >= own)
    near = draw_nearest(points[occurring], own, generator)
    to_near = distance(place, occurring[near]).double()
    to_other = distance(place, occurring[other]).double()
    ratio = float(to_near.mean() / to_other.mean())
    # Of a ratio of means over the same places, at first order.
    residual = (to_near - ratio * to_other) / to_other.mean()
    error = float(residual.std() / math.sqrt(num_samples))
    return NeighbourDistance(
        float(to_near.mean()), float(to_other.mean()), ratio, error
    )
