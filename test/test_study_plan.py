"""The plan of a study: what is trained, with what budget, in which order."""

from pathlib import Path

import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.study.plan import read_plan, runs_of, select

ROOT = Path(__file__).parents[1]

PLAN = """
updates: 60
epochs: 3
warmup: 20
seeds: [1, 2]
steps: [5, 25]
variants:
    fsq:
        args: --codebook fsq
    permuted:
        args: --codebook permuted --codebook_conf seed={seed}
        seeds: [4]
    rvq:
        tokens: rvq
        args: --codebook rvq --codebook_conf tokenizer_file={tokenizer_file}
        updates: 90
        steps: [8]
    lm:
        decoder: lm
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "variants.yaml"
    path.write_text(PLAN)
    return path


def test_variants_take_what_is_shared_and_their_own(plan):
    fsq, permuted, rvq, lm = read_plan(plan)
    assert (fsq.seeds, fsq.steps, fsq.updates) == ((1, 2), (5, 25), 60)
    assert (permuted.seeds, permuted.tokens) == ((4,), "fsq")
    assert (rvq.updates, rvq.steps, rvq.tokens) == (90, (8,), "rvq")
    assert (lm.decoder, lm.args) == ("lm", "")


def test_runs_go_seed_by_seed(plan):
    runs = runs_of(read_plan(plan))
    assert [r.tag for r in runs] == [
        *("fsq_seed1", "permuted_seed4", "rvq_seed1", "lm_seed1"),
        *("fsq_seed2", "rvq_seed2", "lm_seed2"),
    ]
    assert [r.directory for r in runs][:4] == [
        *("cdcd_fsq_seed1", "cdcd_permuted_seed4", "cdcd_rvq_seed1", "lm_lm_seed1"),
    ]
    assert runs[0].settings == [(5, "steps5"), (25, "steps25")]
    assert runs[3].settings == [(None, "sampled")]


def test_training_options_hold_seed_budget_and_tokenizer(plan):
    _, permuted, rvq, _ = runs_of(read_plan(plan))[:4]
    args = permuted.train_args("unused").split()
    assert args[:4] == ["--codebook", "permuted", "--codebook_conf", "seed=4"]
    assert "--seed 4 --max_epoch 3 --num_iters_per_epoch 20" in " ".join(args)
    assert "first_cycle_steps=60" in args and "warmup_steps=20" in args
    assert "tokenizer_file=x.pth" in rvq.train_args("x.pth")
    assert "--num_iters_per_epoch 30" in rvq.train_args("x.pth")


def test_select(plan):
    variants = read_plan(plan)
    (lm,) = select(variants, ["lm"], seeds=[7])
    assert lm.seeds == (7,)
    quick = select(variants, steps=[2], quick=True)
    assert [v.steps for v in quick] == [(2,)] * 4
    assert {v.updates for v in quick} == {4}
    assert select(variants) == variants
    with pytest.raises(InputError, match="variant vq is not in the plan"):
        select(variants, ["vq"])


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("updates: 60", "updates: none", "updates 'none' is no number"),
        ("updates: 60", "updates: 61", "61 updates make no 3 equal epochs"),
        ("epochs: 3", "epoch: 3", "unknown entry epoch"),
        ("decoder: lm", "decoder: gpt", "decoder 'gpt' is unknown"),
        ("decoder: lm", "decoding: lm", "unknown entry decoding"),
        ("tokens: rvq", "tokens: vq", "tokens 'vq' is unknown"),
        ("seeds: [4]", "seeds: 4", "seeds has to be a list"),
        ("seeds: [4]", "seeds: [4, 4]", "seeds has to be a list of different"),
        ("steps: [8]", "steps: []", "no seeds or no steps"),
        ("seed={seed}", "seed={sead}", "names {sead}"),
        ("    fsq:", "    f s q:", "rename it"),
        ("variants:", "variant:", "no mapping `variants`"),
        ("variants:", "variants: [", "not yaml"),
        ("    fsq:", "    f: [a]\n    fsq:", "variant f: it has to be a mapping"),
        ("args: --codebook fsq", "args:", "variant fsq: args has to be a text"),
        ("args: --codebook fsq", "args: [a]", "variant fsq: args has to be a text"),
        ("decoder: lm", "decode_args:", "variant lm: decode_args has to be a text"),
        ("decoder: lm", "note: 3", "variant lm: note has to be a text, not 3"),
        ("--codebook fsq", "--head_conf {a", "variant fsq: args '--head_conf {a':"),
        ("seed={seed}", "seed={}", "names {}; known are"),
        ("seed={seed}", "seed={seed:x.y}", "known are {seed}, {tokenizer_file}"),
    ],
)
def test_faults_are_named(plan, old, new, message):
    assert old in PLAN
    plan.write_text(PLAN.replace(old, new, 1))
    with pytest.raises(InputError) as fault:
        read_plan(plan)
    assert message in str(fault.value) and len(str(fault.value).splitlines()) == 1


def test_missing_plan(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_plan(tmp_path / "none.yaml")


@pytest.mark.parametrize("corpus", ["mini", "kathleen"])
def test_plans_of_the_recipes(corpus):
    variants = {
        v.name: v for v in read_plan(ROOT / f"egs/{corpus}/study1/conf/variants.yaml")
    }
    assert {"fsq", "perturbed", "permuted", "rvq", "lm"} <= set(variants)
    assert {v.updates for v in variants.values() if v.decoder == "cdcd"} == {
        variants["fsq"].updates
    }
    assert variants["fsq"].steps == (5, 8, 12, 25)
