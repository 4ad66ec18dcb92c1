"""Codebooks other than the grid: shape, bounds, seeds, checkpoints."""

import math

import pytest
import torch

from espnet_fsqdiff.codebook import CODEBOOKS, TableCodebook, build_codebook
from espnet_fsqdiff.codebook.lattices import checkerboard, gray_order, shifted_cosets
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.heads import JointHead

CONF = {
    "e8": dict(levels=[2] * 8),
    "onehot": dict(dim=5),
    "learned": dict(constraint="box"),
}
SEEDED = ["learned", "onehot", "permuted", "perturbed", "random"]
# The points of a residual quantizer need one: test_rvq.py.
BUILT = sorted(set(CODEBOOKS) - {"rvq"})


def build(name, **conf):
    return build_codebook(name, **{"levels": [3, 2, 4], **CONF.get(name, {}), **conf})


@pytest.mark.parametrize("name", BUILT)
def test_every_codebook_is_a_table_in_the_box(name):
    codebook = build(name)
    points = codebook.points
    assert points.shape == (codebook.num_codes, codebook.dim)
    assert codebook.num_codes == (256 if name == "e8" else 24)
    assert points.dtype == torch.float32 and points.abs().max() <= 1
    tokens = torch.arange(codebook.num_codes)
    assert torch.equal(codebook.embed(tokens), points)
    assert torch.equal(codebook.nearest(points), tokens)
    assert torch.unique(points, dim=0).size(0) == codebook.num_codes


@pytest.mark.parametrize("name", BUILT)
def test_nearest_agrees_with_search(name, monkeypatch):
    monkeypatch.setattr("espnet_fsqdiff.codebook.base.CHUNK", 7)
    codebook = build(name)
    x = torch.rand(5, 6, codebook.dim) * 2 - 1
    expected = torch.cdist(x, codebook.points.expand(5, -1, -1)).argmin(-1)
    assert torch.equal(codebook.nearest(x), expected)
    assert codebook.nearest(x[0, 0]).shape == ()


@pytest.mark.parametrize("name", SEEDED)
def test_the_seed_decides(name):
    state = torch.get_rng_state()
    points = build(name, seed=3).points
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(points, build(name, seed=3).points)
    assert not torch.equal(points, build(name, seed=4).points)


def test_perturbed_moves_within_its_strength():
    grid = build("fsq").points
    assert torch.equal(build("perturbed", strength=0.0).points, grid)
    for strength in (0.1, 0.5, 2.0):
        moves = (build("perturbed", strength=strength).points - grid).abs()
        assert 0.5 * strength < moves.max() <= strength + 1e-6
    with pytest.raises(InputError, match="strength 2.1 is outside"):
        build("perturbed", strength=2.1)


def test_permuted_is_a_permutation():
    grid, points = build("fsq").points, build("permuted").points
    tokens = build("fsq").nearest(points)
    assert sorted(tokens.tolist()) == list(range(24))
    assert torch.equal(grid[tokens], points)
    assert not torch.equal(grid, points)


def test_e8_has_its_order_and_its_distances():
    codebook = build_codebook("e8")
    points = codebook.points
    assert points.shape == (6561, 8)
    grid = build_codebook("fsq").points
    even = ((grid + 1).sum(-1) % 2) == 0
    torch.testing.assert_close(points[even], 0.8 * (grid[even] + 0.25))
    # The other half: points s (z + 3/4) near their own grid point.
    z = points[~even] / 0.8 - 0.75
    torch.testing.assert_close(z, z.round(), atol=1e-5, rtol=0)
    assert (z.round().sum(-1) % 2 == 0).all()
    assert (points - grid).abs().max() < 1.41
    assert torch.unique(points, dim=0).size(0) == 6561
    with pytest.raises(InputError, match="8 equal"):
        build_codebook("e8", levels=[3] * 7)


@pytest.mark.parametrize("levels, dim", [(2, 4), (3, 3), (4, 2), (5, 2)])
def test_gray_order_steps_by_one_through_all(levels, dim):
    digits = gray_order(levels, dim)
    assert (digits.diff(dim=0).abs().sum(-1) == 1).all()
    index = digits @ levels ** torch.arange(dim)
    assert sorted(index.tolist()) == list(range(levels**dim))


@pytest.mark.parametrize("levels, dim", [(2, 8), (3, 5), (4, 3), (3, 2)])
def test_cosets_have_the_distance_of_their_formula(levels, dim):
    points = shifted_cosets(levels, dim)
    assert len(points) == levels**dim + levels % 2 and points.abs().max() <= 1
    distances = torch.cdist(points, points).fill_diagonal_(9).amin(-1)
    step = 2 / (levels - 0.5)
    expected = step * min(2**0.5, dim**0.5 / 2)
    torch.testing.assert_close(distances, torch.full_like(distances, expected))


@pytest.mark.parametrize("levels, dim", [(3, 2), (4, 3), (5, 4)])
def test_checkerboard_is_every_other_point(levels, dim):
    points = checkerboard(levels, dim)
    assert len(points) == -(-(levels**dim) // 2) and points.abs().max() <= 1
    distances = torch.cdist(points, points).fill_diagonal_(9).amin(-1)
    expected = 2 * 2**0.5 / (levels - 1)
    torch.testing.assert_close(distances, torch.full_like(distances, expected))


@pytest.mark.parametrize("name", sorted(set(BUILT) - {"fsq", "learned"}))
def test_checkpoints_carry_the_table_and_refuse_another(name):
    codebook = build(name)
    assert set(codebook.state_dict()) == {"table"}
    assert not build("fsq").state_dict()
    again = build(name)
    # As after averaging checkpoints: the last bit may differ.
    again.load_state_dict({"table": codebook.table * (1 + 1e-7)})
    assert torch.equal(again.points, codebook.points)
    other = TableCodebook(codebook.table.flip(0))
    with pytest.raises(InputError, match="not the one that codebook"):
        build(name).load_state_dict(other.state_dict())
    with pytest.raises(InputError, match="not the one that codebook"):
        build(name).load_state_dict({"table": codebook.table[1:]})
    with pytest.raises(RuntimeError, match="Missing key"):
        build(name).load_state_dict({})


def test_onehot_is_an_orthogonal_projection():
    points = build("onehot").points.double()
    gram = points.T @ points
    torch.testing.assert_close(gram, gram[0, 0] * torch.eye(5).double())
    assert points.abs().max() == 1
    assert torch.equal(build("onehot", dim=24).points, torch.eye(24))
    for dim in (0, 25):
        with pytest.raises(InputError, match="outside 1 .. 24"):
            build("onehot", dim=dim)


def test_onehot_keeps_distances_as_its_docstring_says():
    points = build_codebook("onehot", levels=[3] * 6, dim=50).points
    distances = torch.pdist(points)
    assert distances.std() / distances.mean() == pytest.approx(0.1, abs=0.01)


RADII = [({}, math.sqrt(2 / 3 + 1 + 5 / 9)), (dict(radius=1.5), 1.5)]


@pytest.mark.parametrize("conf, radius", RADII)
def test_a_learned_sphere_keeps_its_radius(conf, radius):
    """Also after steps that would blow the points up, and in an average."""
    codebook = build("learned", constraint="sphere", **conf)
    start = codebook.points.detach().clone()
    optimizer = torch.optim.Adam(codebook.parameters(), lr=0.3)
    saved = []
    for _ in range(10):
        loss = -codebook.embed(torch.arange(24)).abs().sum()
        optimizer.zero_grad()
        loss.backward()
        assert codebook.weight.grad.abs().max() > 0
        optimizer.step()
        saved.append(codebook.state_dict()["weight"].clone())
    assert (codebook.points - start).abs().max() > 0.1
    average = build("learned", constraint="sphere", **conf)
    average.load_state_dict({"weight": torch.stack(saved).mean(0)})
    for points in (start, codebook.points, average.points):
        norms = torch.linalg.vector_norm(points.detach(), dim=-1)
        torch.testing.assert_close(norms, torch.full((24,), radius))
    # The default is the scale of the grid.
    grid = build("fsq").points.square().sum(-1).mean().sqrt().item()
    assert grid == pytest.approx(RADII[0][1])


def test_a_learned_box_stays_in_the_box():
    codebook = build("learned")
    optimizer = torch.optim.SGD(codebook.parameters(), lr=10.0)
    for _ in range(5):
        optimizer.zero_grad()
        (-codebook.points.square().sum()).backward()
        optimizer.step()
    points = codebook.points.detach()
    assert 0.99 < points.abs().max() <= 1
    assert torch.equal(codebook.state_dict()["weight"], codebook.weight)


def test_a_learned_table_has_its_own_size():
    codebook = build_codebook("learned", levels=[3, 3], dim=5)
    assert codebook.points.shape == (9, 5)
    with pytest.raises(InputError, match="constraint 'ball' is unknown"):
        build("learned", constraint="ball")
    with pytest.raises(InputError, match="radius 0"):
        build("learned", radius=0)
    with pytest.raises(InputError, match="dim 0"):
        build("learned", dim=0)


def test_the_head_follows_its_codebook():
    codebook = build("learned", constraint="sphere")
    head = JointHead(4, codebook)
    logits = torch.zeros(1, 1, 24)
    logits[..., 7] = 99
    torch.testing.assert_close(head.expectation(logits)[0, 0], codebook.points[7])
    with torch.no_grad():
        codebook.weight[7] *= -1
    torch.testing.assert_close(head.expectation(logits)[0, 0], codebook.points[7])
    assert set(head.state_dict()) > {"codebook.weight"}


def test_rvq_goes_with_a_configuration_that_was_made_for_a_grid():
    book = build_codebook("rvq", levels=[3, 3], dim=4, num_books=2, book_size=3)
    assert (book.num_codes, book.dim) == (9, 4)
