"""The benchmarks compare like with like; timings are not tested."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import decoder, language_model, machine, sampling, tables, workload
from benchmarks.networks import build
from benchmarks.plain_sampler import sample_plainly
from benchmarks.training import throughput
from espnet_fsqdiff.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TINY = dict(
    codebook_conf=dict(levels=[3, 3, 3]),
    text_encoder_conf=dict(dim=16, num_layers=2),
    backbone_conf=dict(dim=64, depth=2, num_heads=4),
)


@pytest.fixture
def tiny():
    return build(TINY, seed=1)


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


def test_plain_sampler_gives_our_tokens(tiny):
    work = workload.make_workload(tiny, [1.0, 2.0], prompt_seconds=0.4)
    for steps in (1, 7):
        expected = decoder.ours(tiny, work, steps)
        found = decoder.plain(tiny, work, steps)
        assert [t.numel() for t in found] == [25, 50]
        assert all(map(torch.equal, found, expected))
        assert len(torch.cat(found).unique()) > 5


def test_plain_estimates_are_ours_to_rounding(tiny, monkeypatch):
    """Not only tokens: x0_hat of every step, prompt included."""
    module = sys.modules["espnet_fsqdiff.diffusion.generate"]
    work = workload.make_workload(tiny, [1.0], prompt_seconds=0.4)
    expected, found = [], []
    call = module.GuidedDenoiser.__call__

    def spy(*args):
        estimate = call(*args)
        expected.append(estimate[:, :35])  # lengths are rounded up
        return estimate

    monkeypatch.setattr(module.GuidedDenoiser, "__call__", spy)
    decoder.ours(tiny, work, 5)
    sample_plainly(
        tiny.network.state_dict(),
        4,
        tiny.codebook.points,
        work.text[0],
        torch.randn(35, 3, generator=torch.Generator().manual_seed(0)),
        work.prompts[0],
        num_steps=5,
        callback=lambda step, x0: found.append(x0),
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_tokens_depend_on_text_and_noise(tiny):
    """On a network that ignored them the comparison would show nothing."""
    work = workload.make_workload(tiny, [2.0], prompt_seconds=0.4)
    tokens = decoder.ours(tiny, work, 5)
    other_text = work._replace(text=[(work.text[0] + 1) % 34])
    for other in (other_text, work._replace(seeds=[5])):
        assert decoder.equal_share(decoder.ours(tiny, other, 5), tokens) < 0.9


def test_workload():
    parts = build(TINY)
    lengths = workload.mixed_lengths(4.0, 5)
    assert lengths == [2, 2.5, 3, 3.5, 4]
    work = workload.make_workload(parts, lengths)
    assert work.num_frames == [125, 137, 150, 163, 175]
    assert work.new_frames == sum(work.num_frames) - 5 * 75
    assert work.waste == pytest.approx(1 - 750 / 875)
    assert work.durations is None
    alone = work.one(2)
    assert alone.num_frames == [150] and alone.seeds == [2] and alone.waste == 0
    laid = build({**TINY, "text_expansion": "uniform"})
    work = workload.make_workload(laid, lengths)
    assert [int(d.sum()) for d in work.durations] == work.num_frames


@pytest.mark.parametrize(
    "path", ["conf/train_cdcd_paper.yaml", "egs/mini/tts1/conf/train_cdcd_full.yaml"]
)
def test_networks_are_those_of_the_task(path):
    pytest.importorskip("espnet2")
    from espnet_fsqdiff.tasks.cdcd import CDCDTask

    config = yaml.safe_load((ROOT / path).read_text())
    args = CDCDTask.get_parser().parse_args([])
    vars(args).update(config, token_list=["<sos/eos>", *"abc"])
    theirs = CDCDTask.build_model(args).network.state_dict()
    ours = build(config, vocab_size=4).network.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {
        k: v.shape for k, v in theirs.items()
    }


def test_paper_network_has_the_papers_size():
    parts = build(ROOT / sampling.PAPER)
    count = sum(p.numel() for p in parts.network.parameters())
    assert round(count / 1e6, 1) == 44.3


def test_unknown_parts_are_refused(tmp_path):
    with pytest.raises(InputError, match="backbone 'rnn': the benchmark knows dit"):
        build({"backbone": "rnn"})
    with pytest.raises(InputError, match="none.yaml"):
        build(tmp_path / "none.yaml")


# --- the language model -----------------------------------------------------------


def test_language_model_is_cosyvoice_2s():
    """494 M, as Qwen2.5-0.5B is said to have."""
    assert language_model.parameter_count(**language_model.SHAPE) == 494_032_768


SMALL = dict(
    hidden_size=28,
    num_hidden_layers=2,
    num_attention_heads=14,
    num_key_value_heads=2,
    intermediate_size=40,
    vocab_size=50,
)


def test_parameter_formula_is_what_transformers_builds():
    pytest.importorskip("transformers")
    model = language_model.SpeechLM(**SMALL)
    count = sum(p.numel() for p in model.backbone.parameters())
    assert language_model.parameter_count(**SMALL) == count


def test_cache_changes_nothing():
    """Generating with the cache is the model over the whole sequence."""
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = language_model.SpeechLM(**SMALL)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=1.0 if p.size(0) > 6000 else 0.3)
    model._choose = lambda features: model.output(features[:, -1:]).argmax(-1)
    inputs = torch.randn(1, 6, 28)
    cache, first = model.prefill(inputs)
    tokens = torch.cat([first, model.continue_(cache, first, 4)], dim=1)
    whole = torch.cat([inputs, model.embedding(tokens)], dim=1)
    features = model.backbone(inputs_embeds=whole).last_hidden_state
    assert torch.equal(model.output(features)[:, 5:-1].argmax(-1), tokens)
    assert len(tokens.unique()) > 2


def test_measured_tokens_stand_in_the_middle(monkeypatch):
    pytest.importorskip("transformers")
    model, lengths = language_model.SpeechLM(**SMALL), []
    backbone = model.backbone.forward

    def spy(**options):
        lengths.append(options["inputs_embeds"].size(1))
        return backbone(**options)

    monkeypatch.setattr(model.backbone, "forward", spy)
    cost = language_model.measure(model, 10, 20, measured=4, repeats=1)
    assert lengths == 2 * [10, 18, 1, 1, 1, 1]  # a warm-up and one round
    assert cost.total(20) == pytest.approx(cost.prefill + 20 * cost.per_token)


# --- the command ------------------------------------------------------------------


def test_missing_transformers_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install -e .\[benchmarks\]"):
        sampling.parse(["--parts", "lm"])
    assert sampling.parse(["--parts", "sampler"]).parts == ["sampler"]


def test_options():
    args = sampling.parse(["--device", "cpu", "--quick", "--parts", "train"])
    assert args.seconds == [2, 10] and args.repeats == 1 and args.batch_size == 8
    assert args.train_frames == [2000, 1600]
    args = sampling.parse(["--parts", "train", "--sampler_conf", "{guidance_scale: 0}"])
    assert args.sampler_conf == [{"guidance_scale": 0}]
    with pytest.raises(InputError, match="as many as"):
        sampling.parse(["--parts", "train", "--train_frames", "5"])
    with pytest.raises(InputError, match="--device"):
        sampling.parse(["--parts", "train", "--device", "abacus"])


def test_command_prints_its_tables(tiny_file, capsys):
    """Every number of the first rows is there, and the exact rows are exact."""
    sampling.main(
        [
            *("--parts", "sampler", "train", "--config", tiny_file),
            *("--train_config", tiny_file, "--train_frames", "100"),
            *("--seconds", "0.4", "--num_steps", "25", "2", "--device", "cpu"),
            *("--sampler_conf", "{guidance_scale: 0}", "--repeats", "1"),
            *("--dtypes", "float32", "bfloat16", "--batch_size", "2"),
            "--no-compile",  # it takes a minute
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("* ") and "bfloat16 in hardware" in lines[2]
    assert lines[3].startswith("* torch ") and "threads" in lines[3]
    rows = [line.strip("| ").split(" | ") for line in lines if line[:1] == "|"]
    singles = [r for r in rows if r[1:2] == ["plain"] or r[1].startswith("ours")]
    assert [(r[1], r[2], r[3]) for r in singles] == [
        ("plain", "float32", "25"),
        ("ours", "float32", "25"),
        ("ours", "float32", "2"),
        ("ours", "bfloat16", "25"),
        ("ours", "bfloat16", "2"),
        ("ours, {'guidance_scale': 0}", "float32", "25"),
        ("ours, {'guidance_scale': 0}", "float32", "2"),
    ]
    assert singles[1][-1] == "100 %" and singles[2][-1] == "100 %"
    assert all(len(r) == len(singles[0]) for r in singles)
    assert any("Peak resident memory" in line for line in lines)


def test_a_compiled_network_is_a_copy(tiny):
    """It shares no parameter, and the eager one stays eager."""
    fast = decoder.compiled(tiny)
    theirs = {id(p) for p in tiny.network.parameters()}
    assert not theirs & {id(p) for p in fast.network.parameters()}
    assert "forward" not in vars(tiny.network.backbone)
    assert "forward" in vars(fast.network.backbone)


def test_training_step_learns(tiny_file):
    row = throughput(
        tiny_file, 100, 1.0, torch.device("cpu"), dtype="float32", repeats=1
    )
    frames, utterances, seconds, rate = map(float, (row[4], row[5], row[6], row[7]))
    assert frames == 94 and utterances == 5 and rate > 0


def test_peak_memory_is_of_the_process_itself():
    """A child of a large process reports its own peak."""
    big = torch.ones(200_000_000)
    assert machine.peak_resident() > 1
    code = "from benchmarks.machine import peak_resident as p; print(p())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert float(done.stdout) < 0.8 and big.all()


def test_medians_take_turns():
    seen = []
    calls = {n: lambda n=n: seen.append(n) for n in "ab"}
    assert set(machine.medians(calls, 2)) == {"a", "b"}
    assert seen == list("ababab")


def test_tables():
    assert list(tables.table("a|b", [["1", "2"]])) == [
        "| a | b |",
        "| --- | --: |",
        "| 1 | 2 |",
        "",
    ]
    assert tables.share(1) == "100 %" and tables.share(0.9999) == "99.9 %"
    assert tables.share(0.5) == "50.0 %"


def test_namespace_is_complete():
    """`report` needs nothing that `parse` leaves open."""
    args = sampling.parse(["--parts", "sampler", "--device", "cpu"])
    assert isinstance(args, argparse.Namespace)
    assert None not in vars(args).values()
