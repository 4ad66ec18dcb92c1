"""A study's results: fake directories to figures, verdicts and a report."""

import csv
import datetime
import json

import numpy as np
import pytest
import torch

from espnet_fsqdiff.bin import study as command
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.bootstrap import Counts, Interval
from espnet_fsqdiff.study import progress, verdicts, why
from espnet_fsqdiff.study.collect import MEASURES, RTF, Outcome, collect
from espnet_fsqdiff.study.measure import UtteranceScores, read_scores, write_scores
from espnet_fsqdiff.study.plan import Variant, read_plan, runs_of
from espnet_fsqdiff.study.tables import written
from espnet_fsqdiff.study.training import training_figures

NUM_UTTS = 12
CER = MEASURES[0]
# Share of wrong characters by variant and steps.
RATES = {
    "fsq": {5: 0.10, 25: 0.05},
    "perturbed": {5: 0.30, 25: 0.10},
    "permuted": {5: 0.80, 25: 0.70},
    "rvq": {5: 0.052, 25: 0.049},
    "lm": {None: 0.20},
}
PLAN = """
updates: 4
epochs: 2
warmup: 1
seeds: [1, 2, 3]
steps: [5, 25]
variants:
    fsq: {args: --codebook fsq, note: the grid}
    perturbed: {args: --codebook perturbed}
    permuted: {args: --codebook permuted}
    rvq: {tokens: rvq, args: --codebook rvq}
    lm: {decoder: lm}
"""


def scores(rate, generator, tokens=True):
    rows = []
    for i in range(NUM_UTTS):
        edits = int(generator.binomial(200, rate))
        rows.append(
            UtteranceScores(
                *(f"utt{i:02d}", edits, 200, min(40, edits // 2), 40),
                *(5.0 + rate, 1.5, 100, 2.1, 2.0),
                *((int(50 * (1 - rate)), 50) if tokens else (None, None)),
                recognized='a "quoted", text',
            )
        )
    return rows


def make_directories(expdir, plan, rates=RATES):
    """What a finished study leaves."""
    generator = np.random.default_rng(0)
    variants = read_plan(plan)
    for run in runs_of(variants):
        directory = expdir / run.directory
        for steps, name in run.settings:
            rate = rates[run.variant.name][steps]
            write_scores(directory / name / "utterances.csv", scores(rate, generator))
            seconds = 3.0 if run.variant.decoder == "lm" else 0.01 * steps
            stats = {"rtf": 1 + seconds, "rtf_sampling": seconds + 0.001 * run.seed}
            (directory / name / "stats.json").write_text(json.dumps(stats))
        training = {
            "args": progress.plan_args(run),
            "updates": 4,
            "train_seconds": 100.0 + run.seed,
            "parameters": 9_000_000 if run.variant.decoder == "lm" else 6_000_000,
            "valid": {
                "loss": 2.0,
                "loss_t0.1": 1.0 + 0.01 * run.seed,
                "loss_t0.9": 3.0,
            },
        }
        (directory / "training.json").write_text(json.dumps(training))
    for name, rate in (("original", 0.03), ("resynthesis_fsq", 0.04)):
        path = expdir / "reference" / name / "utterances.csv"
        write_scores(path, scores(rate, generator, tokens=False))


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "variants.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def expdir(tmp_path, plan):
    make_directories(tmp_path / "exp", plan)
    return tmp_path / "exp"


def by_name(plan, expdir):
    return {o.variant.name: o for o in collect(read_plan(plan), expdir)}


def test_scores_come_back_as_they_were(tmp_path):
    rows = scores(0.2, np.random.default_rng(1))
    rows += scores(0.2, np.random.default_rng(1), tokens=False)
    write_scores(tmp_path / "utterances.csv", rows)
    assert read_scores(tmp_path / "utterances.csv") == rows


@pytest.mark.parametrize("text", ["utt,chars\nx,3\n", "char_edits,chars\nmany,3\n"])
def test_other_tables_are_no_scores(tmp_path, text):
    (tmp_path / "utterances.csv").write_text(text)
    with pytest.raises(InputError, match="not a table of scores"):
        read_scores(tmp_path / "utterances.csv")


def test_collects_all_seeds_and_steps(plan, expdir):
    outcomes = by_name(plan, expdir)
    fsq = outcomes["fsq"]
    assert fsq.steps == [5, 25] and outcomes["lm"].steps == [None]
    counts = fsq.counts(CER, 5)
    assert counts.seeds == (1, 2, 3) and counts.numerator.shape == (3, NUM_UTTS)
    assert counts.figure() == pytest.approx(0.10, abs=0.01)
    assert fsq.counts(RTF, 25).figure() == pytest.approx(0.252)
    assert fsq.training_counts("valid", "loss_t0.1").figure() == pytest.approx(1.02)
    assert fsq.training_counts("valid", "loss_t0.2") is None
    figures = {m.key: fsq.counts(m, 5).figure() for m in MEASURES}
    assert figures["log_f0_rmse"] == pytest.approx((1.5 / 100) ** 0.5)
    assert figures["duration_error"] == pytest.approx(0.05)
    assert figures["rollout_accuracy"] == pytest.approx(0.9)


def test_what_is_not_finished_is_left_out(plan, expdir):
    (expdir / "cdcd_fsq_seed2/steps5/utterances.csv").unlink()
    (expdir / "cdcd_fsq_seed2/training.json").unlink()
    fsq = by_name(plan, expdir)["fsq"]
    assert fsq.counts(CER, 5).seeds == (1, 3)
    assert fsq.counts(CER, 25).seeds == (1, 2, 3)
    assert sorted(fsq.trainings) == [1, 3]


def test_other_utterances_are_refused(plan, expdir):
    path = expdir / "cdcd_fsq_seed2/steps5/utterances.csv"
    write_scores(path, read_scores(path)[1:])
    with pytest.raises(InputError, match="seed 2, steps 5: scored on other"):
        collect(read_plan(plan), expdir)


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.01, 0.2, verdicts.HELD),
        (-0.2, -0.01, verdicts.REVERSED),
        (-0.1, 0.2, verdicts.OPEN),
        (0.0, 0.2, verdicts.OPEN),
    ],
)
def test_an_interval_decides(low, high, verdict):
    assert verdicts.decide(Interval((low + high) / 2, low, high, "seeds")) == verdict
    # Nothing was resampled: nothing is decided.
    assert verdicts.decide(Interval(1.0, 1.0, 1.0, "nothing")) == verdicts.OPEN


def headlines(outcomes):
    found = verdicts.verdicts(list(outcomes.values()))
    return {v.claim: v for v in verdicts.headline(found)}


def test_orderings_that_held(plan, expdir):
    found = headlines(by_name(plan, expdir))
    claims = {claim: (v.verdict, v.steps) for claim, v in found.items()}
    assert claims["Original grid better than perturbed"] == ("held", 25)
    assert claims["Perturbed grid better than permuted"] == ("held", 25)
    assert claims["Diffusion better than the language model"] == ("held", 25)
    assert claims["Diffusion faster than the language model"] == ("held", 25)
    assert claims["Diffusion model smaller than the language model"] == ("held", None)
    assert claims["FSQ tokens better than RVQ tokens"] == (verdicts.OPEN, 25)
    gap = found["Gap between perturbed and original shrinks with more steps"]
    assert gap.verdict == "held" and gap.difference.estimate == pytest.approx(
        0.15, abs=0.03
    )
    serious = found["Language model's CER within 1.5 times the diffusion model's"]
    assert serious.verdict == verdicts.REVERSED and "times" in serious.evidence


def test_orderings_turned_round(plan, tmp_path):
    rates = dict(RATES, fsq=RATES["perturbed"], perturbed=RATES["fsq"])
    make_directories(tmp_path / "other", plan, rates)
    found = headlines(by_name(plan, tmp_path / "other"))
    claim = found["Original grid better than perturbed"]
    assert claim.verdict == verdicts.REVERSED and claim.difference.high < 0
    assert "did not hold" in claim.sentence() and "at 25 steps" in claim.sentence()
    gap = found["Gap between perturbed and original shrinks with more steps"]
    assert gap.verdict == verdicts.REVERSED


def test_what_is_missing_is_said(plan, expdir):
    outcomes = by_name(plan, expdir)
    del outcomes["perturbed"], outcomes["lm"]
    found = headlines(outcomes)
    for claim in ("Original grid better than perturbed", "Gap between perturbed"):
        (verdict,) = [v for c, v in found.items() if c.startswith(claim)]
        assert verdict.verdict == verdicts.UNKNOWN
    assert found["Original grid better than permuted"].verdict == verdicts.HELD


def test_rvq_tokens_are_not_compared_by_accuracy(plan, expdir):
    found = verdicts.verdicts(list(by_name(plan, expdir).values()))
    measures = {v.measure for v in found if v.claim.startswith("FSQ tokens")}
    assert measures == {"CER", "WER"}


def codebook(name, cer, seeds=(1, 2, 3)):
    outcome = Outcome(Variant(name, steps=(8,)))
    generator = np.random.default_rng(0)
    outcome.utterances = {(8, s): scores(cer, generator) for s in seeds}
    return outcome


def test_criteria_are_counted_over_pairs_told_apart():
    books = [codebook("a", 0.1), codebook("b", 0.5), codebook("c", 0.1001)]
    theory = {
        "a": {"D(E)": 1.0, "A(1)": 0.5, "near / random": 0.2},
        "b": {"D(E)": 1.001, "A(1)": 0.6, "near / random": 0.9},
        "c": {"D(E)": 2.0, "A(1)": 0.4, "near / random": 0.2},
    }
    pairs = why.compared_pairs(books, theory)
    assert [(p.first, p.second) for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    distance, accuracy, path_kl, mel = (
        why.agreement(c, pairs, theory) for c in why.CRITERIA
    )
    assert (distance.right, distance.wrong, distance.silent_pairs) == (1, 0, ["a/b"])
    assert (accuracy.right, accuracy.wrong) == (0, 2)
    assert (path_kl.right, path_kl.silent) == (0, 2)
    assert (mel.right, mel.wrong, mel.silent) == (2, 0, 0)
    sentences = why.reasons(books, theory)
    assert sentences[0].startswith("CER tells 2 of 3 pairs")
    assert why.reasons(books, {"a": {}})[0].startswith("No two codebooks")


def test_pairs_trained_once_need_the_seeds_of_others():
    once = [codebook("a", 0.1, (1,)), codebook("b", 0.2, (1,))]
    theory = {"a": {"D(E)": 1.0}, "b": {"D(E)": 2.0}}
    # Over utterances alone they would be told apart.
    (pair,) = why.compared_pairs(once, theory)
    assert pair.difference.over == "utterances" and pair.difference.low > 0
    assert why.reasons(once, theory)[0].startswith("CER tells 0 of 1 pairs")
    named = {"fsq": once[0], "perturbed": once[1]}
    found = verdicts.ordering_verdicts(named, [CER])[0]
    assert found.verdict == verdicts.OPEN and found.difference.over == "utterances"
    # Of others, with theory or without, the spread over seeds is known.
    narrow, wide = codebook("c", 0.4), codebook("d", 0.4, (1, 2))
    wide.utterances[8, 3] = scores(0.9, np.random.default_rng(0))
    for other, verdict in ((narrow, verdicts.HELD), (wide, verdicts.OPEN)):
        (pair,) = why.compared_pairs([*once, other], theory)
        assert pair.difference.over == "seeds and utterances"
        assert verdicts.decide(pair.difference) == verdict
        found = verdicts.ordering_verdicts({**named, "c": other}, [CER])[0]
        assert found.difference == pair.difference


def test_a_property_within_its_error_says_nothing():
    books = [codebook("a", 0.1), codebook("b", 0.5)]
    theory = {
        "a": {"A(1)": 0.5, "s.e. of A(1)": 0.03, "near / random": 0.995},
        "b": {"A(1)": 0.6, "s.e. of A(1)": 0.04, "near / random": 1.059},
    }
    theory["a"]["s.e. of it"], theory["b"]["s.e. of it"] = 0.028, 0.030
    pairs = why.compared_pairs(books, theory)
    accuracy, mel = why.CRITERIA[1], why.CRITERIA[3]
    for criterion in (accuracy, mel):
        assert why.agreement(criterion, pairs, theory).silent_pairs == ["a/b"]
    # 0.1 is more than twice hypot(0.03, 0.039), and 0.064 than hypot(0.028, 0.015).
    theory["b"].update({"s.e. of A(1)": 0.039, "s.e. of it": 0.015})
    assert why.agreement(accuracy, pairs, theory).wrong == 1
    assert why.agreement(mel, pairs, theory).right == 1


def test_training_figures_of_a_checkpoint():
    def epoch(loss, count):
        time = datetime.timedelta(seconds=10.5)
        return {
            "train": {"loss": loss, "total_count": count, "time": time},
            "valid": {
                "loss": loss,
                "loss_t0.1": loss / 2,
                "total_count": 3,
                "time": time,
            },
        }

    parameter = torch.zeros(3, 4)
    states = {
        "reporter": {
            "stats": {1: epoch(3.0, 20), 2: epoch(2.0, 40), 3: epoch(2.5, 60)}
        },
        "optimizers": [
            {"state": {0: {"exp_avg": parameter}, 1: {"exp_avg": parameter}}}
        ],
    }
    figures = training_figures(states)
    assert figures["updates"] == 60 and figures["parameters"] == 24
    assert figures["train_seconds"] == pytest.approx(31.5)
    assert figures["best_epoch"] == 2
    assert figures["valid"] == {"loss": 2.0, "loss_t0.1": 1.0}
    with pytest.raises(ValueError, match="no validation loss"):
        training_figures({"reporter": {"stats": {}}, "optimizers": []})


# No training here has a digest of its configuration, so none is read.
CONFIGS = ["--train_config", "none", "--lm_config", "none"]


def options(plan, expdir, *more):
    return ["--plan", str(plan), "--expdir", str(expdir), *more]


def make_inputs(expdir):
    """Files of which syntheses are made, as options."""
    (expdir / "test_set").mkdir()
    (expdir / "test_set/text").write_text("utt one\n")
    (expdir / "decode.yaml").write_text("temperature: 1\n")
    config = str(expdir / "decode.yaml")
    test_set = ["--test_set", str(expdir / "test_set")]
    return [
        *CONFIGS,
        *test_set,
        "--decode_config",
        config,
        "--lm_decode_config",
        config,
    ]


def test_nothing_is_done_twice(plan, expdir, capsys):
    command.main(["trainings", *CONFIGS, *options(plan, expdir)])
    assert capsys.readouterr().out == ""
    spoken = make_inputs(expdir)
    command.main(["syntheses", *options(plan, expdir, "--steps", "5 8", *spoken)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and all("--num_steps 8" in line for line in lines)
    (expdir / "cdcd_rvq_seed3/training.json").unlink()
    command.main(["trainings", *CONFIGS, *options(plan, expdir, "--rvq_file", "r")])
    fields = capsys.readouterr().out.rstrip("\n").split("|")
    assert fields[:5] == ["cdcd_rvq_seed3", "rvq", "rvq_seed3", "cdcd", "rvq"]
    assert fields[5] == "true"
    assert fields[6].startswith("--codebook rvq --seed 3 --max_epoch 2")
    with pytest.raises(InputError, match="cdcd_rvq_seed3: not trained yet"):
        command.main(["syntheses", *options(plan, expdir, *spoken)])


def test_another_plan_is_noticed(plan, expdir):
    plan.write_text(PLAN.replace("--codebook permuted", "--codebook random"))
    with pytest.raises(InputError, match="permuted_seed1 was trained with"):
        command.main(["trainings", *CONFIGS, *options(plan, expdir)])


def test_finished_means_the_model_and_all_updates(plan, tmp_path):
    run = runs_of(read_plan(plan))[0]
    directory = tmp_path / run.directory
    directory.mkdir()
    figures = {"updates": 4, "valid": {"loss": 1.0}}
    with pytest.raises(InputError, match="valid.loss.ave.pth is missing"):
        progress.finish_training(run, tmp_path, figures, "d")
    (directory / "valid.loss.ave.pth").touch()
    with pytest.raises(InputError, match="3 updates instead of 4"):
        progress.finish_training(run, tmp_path, {**figures, "updates": 3}, "d")
    progress.finish_training(run, tmp_path, figures, "d")
    assert json.loads((directory / "training.json").read_text())["config"] == "d"


def test_unscored_directories(plan, expdir):
    make_inputs(expdir)
    config = expdir / "decode.yaml"
    configs = {"cdcd": config, "lm": config}
    inputs = progress.SynthesisInputs(expdir / "test_set", configs, configs)
    assert progress.unscored(read_plan(plan), expdir, inputs) == {}
    (expdir / "lm_lm_seed1/sampled/utterances.csv").unlink()
    ((run, paths),) = progress.unscored(read_plan(plan), expdir, inputs).items()
    assert run.tag == "lm_seed1" and paths == [expdir / "lm_lm_seed1/sampled"]
    (expdir / "lm_lm_seed1/sampled/stats.json").unlink()
    with pytest.raises(InputError, match="not synthesised yet"):
        progress.unscored(read_plan(plan), expdir, inputs)


def write_theory(directory, names):
    directory.mkdir()
    for i, name in enumerate(names):
        (directory / f"{name}.csv").write_text(
            f'codebook,K,D(E),A(1),"KL to t=0.1, nats",near / random\n'
            f'"{name}, trained",6561,1.0,0.3,50.{i},{0.5 + 0.1 * i}\n'
        )


def test_report(plan, expdir, tmp_path, capsys):
    write_theory(expdir / "theory", ["fsq", "perturbed", "permuted"])
    references = [
        x
        for name in ("original", "resynthesis_fsq")
        for x in ("--reference", f"{name}={expdir}/reference/{name}")
    ]
    out = tmp_path / "report"
    command.main(
        ["report", *options(plan, expdir), *references]
        + ["--theory", str(expdir / "theory"), "--outdir", str(out), "--title", "A <b>"]
    )
    said = capsys.readouterr().out
    assert "* Original grid better than permuted (CER at 25 steps): held." in said
    with open(out / "results.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    (row,) = [
        r
        for r in rows
        if (r["variant"], r["steps"], r["measure"]) == ("permuted", "25", "cer")
    ]
    assert float(row["low"]) < float(row["estimate"]) < float(row["high"])
    assert float(row["estimate"]) == pytest.approx(0.7, abs=0.02)
    assert row["seeds"] == "3" and row["over"] == "seeds and utterances"
    assert {"valid_loss_t0.9", "parameters", "rtf_sampling", "duration_error"} <= {
        r["measure"] for r in rows
    }
    markdown = (out / "results.md").read_text()
    for part in ("# A <b>", "original", "near / random", "CER tells 3 of 3 pairs"):
        assert part in markdown
    page = (out / "index.html").read_text()
    assert "A &lt;b&gt;" in page and page.count("data:image/svg+xml") == 4
    for name in ("cer_by_steps", "loss_by_time", "criteria"):
        assert (out / f"figures/{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (out / f"figures/{name}.svg").stat().st_size > 1000


def test_a_table_that_is_no_theory_is_refused(plan, expdir):
    (expdir / "theory").mkdir()
    (expdir / "theory/fsq.csv").write_text("codebook,D(E)\nfsq,1.0\nfsq,2.0\n")
    with pytest.raises(InputError, match="fsq.csv: not a table of one codebook"):
        why.read_theory(collect(read_plan(plan), expdir), expdir / "theory")


def test_cells():
    assert written("{:.2f}", None) == "–"
    assert written("{:.2f}", Interval(0.1, -0.05, 0.25, "seeds")) == "0.10 [0.00, 0.25]"
    assert written("{:.2f}", Interval(0.1, 0.1, 0.1, "nothing")) == "0.10"


def test_set_of_fewer_utterances(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "text").write_text("".join(f"u{i} word {i}\n" for i in range(9)))
    (data / "wav.scp").write_text("".join(f"u{i} {i}.wav\n" for i in range(9)))
    out = tmp_path / "out"
    command.main(
        ["test_set", "--data_dir", str(data), "--num_utts", "3"]
        + ["--output_dir", str(out)]
    )
    assert (out / "text").read_text() == "u1 word 1\nu4 word 4\nu7 word 7\n"
    assert (out / "wav.scp").read_text() == "u1 1.wav\nu4 4.wav\nu7 7.wav\n"


@pytest.mark.parametrize(
    "more, message",
    [
        (["--seeds", "one"], "--seeds 'one': give numbers"),
        (["--variants", "vq"], "variant vq is not in the plan"),
    ],
)
def test_faulty_options(plan, expdir, more, message):
    with pytest.raises(InputError, match=message):
        command.main(["trainings", *CONFIGS, *options(plan, expdir, *more)])


def test_contrast_needs_the_same_utterances(plan, expdir):
    fsq = by_name(plan, expdir)["fsq"].counts(CER, 5)
    other = Counts(fsq.numerator[:, :3], fsq.denominator[:, :3], fsq.seeds)
    with pytest.raises(ValueError, match="in one contrast"):
        verdicts.better("x", CER, 5, fsq, other)
