"""Pieces of dense lattices in the box |x_i| <= 1 (Conway and Sloane, chapter 4)."""

import torch


def gray_order(levels: int, dim: int) -> torch.Tensor:
    """Digits (levels^dim, dim), neighbours in the order one step apart.

    The reflected Gray code: digit i of number m is that of m in base L, or L - 1
    minus it where floor(m / L^(i + 1)) is odd.
    """
    m = torch.arange(levels**dim).unsqueeze(-1)
    power = levels ** torch.arange(dim)
    digits = m // power % levels
    reflected = m // (power * levels) % 2 == 1
    return torch.where(reflected, levels - 1 - digits, digits)


def shifted_cosets(levels: int, dim: int) -> torch.Tensor:
    """Two cosets of the lattice D_n that fill the box; for n = 8 they form E8.

        s = 2 / (L - 1/2)
        upper: -1 + s (d + 1/2),  lower: -1 + s d,
        d in {0 .. L - 1}^n with an even sum, for both

    There are L^n points for even L and L^n + 1 for odd L. The distance of each
    to its nearest neighbour is s min(sqrt(2), sqrt(n) / 2) if L >= 2, n >= 2. With
    L = 3, n = 8, s = 0.8 the upper coset is s (z + 1/4), z = d - 1, and the lower
    s (z + 3/4), z = d - 2.

    Order: point k belongs to grid point k of FSQ with L levels. Grid points of an
    even digit sum have the upper point of their own digits; those of an odd sum
    the lower point of the digits before them in the Gray order, one step away.
    For odd L the point left over comes last.

    Args:
        levels: L, at least 2.
        dim: n, at least 2.

    Returns:
        Points (L^n, n) or (L^n + 1, n), float64.
    """
    step = 2 / (levels - 0.5)
    digits = gray_order(levels, dim)
    # One step changes the sum by one: even and odd sums take turns.
    even, odd = digits[0::2], digits[1::2]
    upper = -1 + step * (even.double() + 0.5)
    lower = -1 + step * even.double()
    index = torch.cat([even, odd]) @ levels ** torch.arange(dim)
    points = torch.cat([upper, lower[: len(odd)]])[index.argsort()]
    return torch.cat([points, lower[len(odd) :]])


def checkerboard(levels: int, dim: int) -> torch.Tensor:
    """Every other point of the grid, a piece of the lattice D_n.

        -1 + 2 d / (M - 1),  d in {0 .. M - 1}^n with an even sum

    There are M^n / 2 points, for odd M rounded up, each 2 sqrt(2) / (M - 1) from
    its nearest neighbour (n >= 2, M >= 3).

    Args:
        levels: M, at least 3.
        dim: n, at least 2.

    Returns:
        Points, float64, by rising index d . (1, M, M^2, ...).
    """
    m = torch.arange(levels**dim).unsqueeze(-1)
    digits = m // levels ** torch.arange(dim) % levels
    digits = digits[digits.sum(-1) % 2 == 0]
    return -1 + 2 * digits.double() / (levels - 1)
