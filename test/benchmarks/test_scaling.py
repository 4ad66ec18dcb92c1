"""The plan of a large training."""

import pytest
import torch
from torch import nn

from benchmarks import scaling
from benchmarks.networks import build

TINY = dict(
    codebook_conf=dict(levels=[3] * 4),
    text_encoder_conf=dict(dim=16, num_layers=1),
    backbone_conf=dict(dim=32, depth=2, num_heads=2, max_frames=128),
    batch_bins=1000,
    max_epoch=3,
    num_iters_per_epoch=100,
)


@pytest.fixture(scope="module")
def cost():
    return scaling.step_cost(build(TINY), seconds=2.0)


def test_step_counts_products_forward_and_backward(cost):
    assert cost.num_frames == 50
    # Each weight of a product takes 2 operations a frame forward, 4 backward; the
    # modulations run once an utterance, attention has none.
    assert 0.4 < cost.flops / (6 * cost.parameters * cost.num_frames) < 1.5


def test_attention_is_counted(cost):
    longer = scaling.step_cost(build(TINY), seconds=4.0)
    assert longer.flops / longer.num_frames > 1.05 * cost.flops / cost.num_frames


def test_saved_bytes_are_of_activations_alone():
    layer = nn.Linear(4, 3, bias=False)
    x = torch.ones(5, 4)
    with scaling.count_saved(layer) as saved:
        layer(x).sum()
    assert sum(saved.values()) == 5 * 4 * 4  # x, but not the weight


def test_plan_follows_its_formula(cost):
    plan = scaling.make_plan(TINY, cost, num_gpus=2, hours=1.0)
    assert plan.updates == 300 and plan.frames_per_update == 2000
    assert plan.frames == 600_000 and plan.epochs == pytest.approx(600 / 90)
    assert plan.flops == pytest.approx(600_000 * cost.flops / 50)
    seconds = plan.hours(1e-6, num_gpus=2, utilisation=0.5) * 3600
    assert seconds == pytest.approx(plan.flops / 1e6)


def test_every_file_of_the_extraction_counts_on_disk():
    found = scaling.disk_bytes(num_utterances=120, seconds=4.0)
    tables = {"tokens.scp", "tokens.txt", "utt2num_tokens", "durations.txt"}
    assert set(found) == tables | {"tokens.*.ark", "tokens.*.json", "tokens.sha256"}
    # A byte and an int32, and the utterance's id and size.
    assert 5 < found["tokens.*.ark"] < 6
    # Up to four digits and a space.
    assert 4.5 < found["tokens.txt"] < 5.5
    assert found["durations.txt"] < found["tokens.*.json"] < 5
