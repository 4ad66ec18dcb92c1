"""Links to weights, and which of these are kept, are as ESPnet leaves them."""

from types import SimpleNamespace

import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.epoch_files import put_in_order

LOSSES = {1: 3.0, 2: 1.0, 3: 2.0, 4: 4.0}
REPORTED = {
    "epoch": 4,
    "stats": {epoch: {"valid": {"loss": x}} for epoch, x in LOSSES.items()},
}
OPTIONS = SimpleNamespace(
    best_model_criterion=[("valid", "loss", "min"), ("valid", "acc", "max")],
    keep_nbest_models=[1, 2],
)


def read(path):
    """Weights: here a text, whose lack is damage."""
    return path.read_text() if path.exists() and path.read_text() else None


@pytest.fixture
def exp(tmp_path):
    """As a kill leaves it right after the weights of epoch 4 were written."""
    for epoch in LOSSES:
        (tmp_path / f"{epoch}epoch.pth").write_text(f"weights {epoch}")
    (tmp_path / "latest.pth").symlink_to("3epoch.pth")
    (tmp_path / "valid.loss.best.pth").symlink_to("1epoch.pth")
    return tmp_path


def test_links_and_weights_are_as_after_an_epoch(exp):
    for _ in range(2):
        put_in_order(exp, REPORTED, OPTIONS, read)
        names = sorted(path.name for path in exp.iterdir())
        assert names == ["2epoch.pth", "3epoch.pth", "4epoch.pth"] + [
            "latest.pth",
            "valid.loss.best.pth",
        ]
        assert read(exp / "latest.pth") == "weights 4"
        assert read(exp / "valid.loss.best.pth") == "weights 2"


def test_damaged_weights_of_a_best_epoch_are_an_error(exp):
    (exp / "1epoch.pth").write_text("")  # not among the best
    put_in_order(exp, REPORTED, OPTIONS, read)
    (exp / "3epoch.pth").write_text("")
    with pytest.raises(
        InputError, match="3epoch.pth is missing or damaged.*lower keep"
    ):
        put_in_order(exp, REPORTED, OPTIONS, read)
    options = SimpleNamespace(**{**vars(OPTIONS), "keep_nbest_models": 1})
    put_in_order(exp, REPORTED, options, read)
    assert not (exp / "3epoch.pth").exists()
