"""Residual vector quantization: round trip, gradients, what it learns, its codebook."""

import pytest
import torch

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.codebook.fit import fit_tokenizer
from espnet_fsqdiff.codebook.rvq import PREFIX
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.rvq import ResidualVQ

SIZES = dict(dim=4, num_books=2, book_size=5)


def make(**conf):
    torch.manual_seed(0)
    return ResidualVQ(**{**SIZES, **conf})


@pytest.fixture(scope="module")
def trained():
    """A quantizer that has seen twenty batches, in eval mode."""
    quantizer = make()
    for _ in range(20):
        quantizer(torch.randn(300, 4))
    return quantizer.eval()


def save(quantizer, path):
    states = {PREFIX + k: v for k, v in quantizer.state_dict().items()}
    torch.save({**states, "tokenizer.mel_mean": torch.zeros(2)}, path)
    return path


def test_the_default_has_as_many_codes_as_fsq():
    quantizer = ResidualVQ()
    assert (quantizer.num_codes, quantizer.dim) == (6561, 128)
    assert not list(quantizer.parameters())


@torch.no_grad()
def test_encode_and_decode_agree(trained):
    x = torch.randn(3, 7, 4)
    codes, indices = trained(x)
    assert codes.shape == x.shape and indices.shape == (3, 7)
    assert indices.dtype == torch.int64 and codes.dtype == torch.float32
    assert 0 <= indices.min() and indices.max() < 25
    torch.testing.assert_close(trained.indices_to_codes(indices), codes)
    # Alone as in a batch, in any shape.
    alone_codes, alone = trained(x[1, 2])
    assert torch.equal(alone, indices[1, 2])
    torch.testing.assert_close(alone_codes, codes[1, 2])


@torch.no_grad()
def test_every_book_names_the_nearest_to_what_is_left(trained):
    first, second = (layer.codebook for layer in trained.vq.layers)
    x = torch.randn(50, 4)
    _, indices = trained(x)
    i = torch.cdist(x, first).argmin(-1)
    j = torch.cdist(x - first[i], second).argmin(-1)
    assert torch.equal(indices, i + 5 * j)
    codes = trained.indices_to_codes(indices)
    torch.testing.assert_close(codes, first[i] + second[j])
    # The second book brings them nearer.
    assert (x - codes).square().mean() < (x - first[i]).square().mean()


def test_the_gradient_passes_straight_through_and_evaluation_learns_nothing(trained):
    quantizer = make()
    x = torch.randn(60, 4, requires_grad=True)
    codes, _ = quantizer(x)
    weight = torch.randn_like(codes)
    (codes * weight).sum().backward()
    torch.testing.assert_close(x.grad, weight)
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    trained(torch.randn(99, 4))
    assert all(torch.equal(v, before[k]) for k, v in trained.state_dict().items())


def test_the_commitment_loss_draws_latents_to_their_codes():
    quantizer = make(commitment_weight=0.5)
    x = torch.randn(60, 4, requires_grad=True)
    codes, _ = quantizer(x)
    loss, stats = quantizer.penalty(x, codes)
    error = (x - codes).detach()
    assert loss.item() == pytest.approx(0.5 * error.square().mean().item())
    torch.testing.assert_close(stats["commitment_loss"], 2 * loss)
    loss.backward()
    torch.testing.assert_close(x.grad, error / error.numel())


def test_vectors_follow_the_latents_that_they_stand_for():
    quantizer = make(decay=0.5)
    x = torch.randn(200, 4)
    quantizer(x)
    for _ in range(40):
        _, indices = quantizer(x + 3)
    first = quantizer.vq.layers[0].codebook
    for i in range(5):
        mean = (x + 3)[indices % 5 == i].mean(0)
        torch.testing.assert_close(first[i], mean, atol=1e-3, rtol=1e-3)


def test_a_vector_that_stands_for_nothing_is_moved():
    for threshold in (0, 1):
        quantizer = make(dead_code_threshold=threshold)
        x = torch.randn(60, 4)
        quantizer(x)
        book = quantizer.vq.layers[0]._codebook
        book.cluster_size[2] = 0.5
        book.embed[2], book.embed_avg[2] = 1000.0, 500.0
        quantizer(x)
        assert (torch.cdist(book.embed, x)[2].min() == 0) == (threshold == 1)


def test_the_global_generator_decides():
    first, second = make(), make()
    for quantizer in (first, second):
        torch.manual_seed(3)
        for _ in range(3):
            quantizer(torch.randn(40, 4))
    states = second.state_dict()
    assert all(torch.equal(v, states[k]) for k, v in first.state_dict().items())


@pytest.mark.parametrize("token", [-1, 25])
def test_a_token_outside_is_refused(trained, token):
    with pytest.raises(
        InputError, match=f"token {token} is outside the codebook 0..24"
    ):
        trained.indices_to_codes(torch.tensor([3, token]))


@pytest.mark.parametrize("conf", [dict(dim=0), dict(num_books=0), dict(book_size=1)])
def test_sizes_are_checked(conf):
    with pytest.raises(InputError, match="at least 1 book"):
        make(**conf)


def test_the_codebook_is_the_sums_moved_and_scaled(trained, tmp_path):
    file = save(trained, tmp_path / "model.pth")
    points = build_codebook("rvq", tokenizer_file=str(file), **SIZES).points
    sums = trained.indices_to_codes(torch.arange(25))
    centred = sums - sums.mean(0)
    torch.testing.assert_close(points, centred / centred.abs().max())
    assert points.abs().max() == 1 and points.dtype == torch.float32
    codebook = build_codebook("rvq", tokenizer_file=file, **SIZES)
    assert torch.equal(codebook.nearest(points), torch.arange(25))


def test_a_checkpoint_gives_the_table_that_no_file_gave(trained, tmp_path):
    file = save(trained, tmp_path / "model.pth")
    codebook = build_codebook("rvq", tokenizer_file=file, **SIZES)
    empty = build_codebook("rvq", **SIZES)
    with pytest.raises(InputError, match="no points yet; give codebook_conf: tokeniz"):
        empty.embed(torch.tensor([1]))
    with pytest.raises(RuntimeError, match="Missing key"):
        empty.load_state_dict({})
    empty.load_state_dict(codebook.state_dict())
    assert torch.equal(empty.points, codebook.points)
    # From now on as any other table.
    other = {"table": codebook.table.flip(0)}
    for known in (codebook, empty):
        with pytest.raises(InputError, match="not the one that codebook"):
            known.load_state_dict(other)


@pytest.mark.parametrize("conf", [dict(book_size=4), dict(num_books=1), dict(dim=3)])
def test_another_quantizer_is_refused(trained, tmp_path, conf):
    file = save(trained, tmp_path / "model.pth")
    with pytest.raises(InputError, match="has no residual quantizer of"):
        build_codebook("rvq", tokenizer_file=file, **{**SIZES, **conf})
    with pytest.raises(InputError, match="is missing; train the tokenizer"):
        build_codebook("rvq", tokenizer_file=tmp_path / "none.pth", **SIZES)
    untrained = save(ResidualVQ(**SIZES), tmp_path / "new.pth")
    with pytest.raises(InputError, match="new.pth: all vectors .* are equal"):
        build_codebook("rvq", tokenizer_file=untrained, **SIZES)


RVQ = dict(quantizer="rvq", quantizer_conf=SIZES)


def test_a_codebook_takes_sizes_and_weights_of_the_tokenizer():
    conf = fit_tokenizer("rvq", {}, RVQ, "exp/model.pth")
    assert conf == {**SIZES, "tokenizer_file": "exp/model.pth"}
    mine = dict(tokenizer_file="mine.pth")
    assert fit_tokenizer("rvq", mine, RVQ, "x")["tokenizer_file"] == "mine.pth"
    levels = dict(levels=[5, 5])
    assert fit_tokenizer("learned", levels, RVQ, "x") == levels
    assert fit_tokenizer("fsq", {}, {}, "x") == {}


@pytest.mark.parametrize(
    "name, conf, tokenizer, message",
    [
        ("fsq", dict(levels=[5, 5]), RVQ, "no points of the FSQ grid"),
        ("learned", dict(levels=[5, 4]), RVQ, "25 codes, the codebook 20"),
        ("rvq", dict(book_size=4), RVQ, "book_size 5, the codebook 4"),
        ("rvq", {}, {}, "trained with quantizer: rvq"),
        ("random", dict(levels=[3, 3]), {}, "the tokenizer's FSQ levels are"),
    ],
)
def test_what_does_not_fit_is_refused(name, conf, tokenizer, message):
    with pytest.raises(InputError, match=message):
        fit_tokenizer(name, conf, tokenizer, "x")
