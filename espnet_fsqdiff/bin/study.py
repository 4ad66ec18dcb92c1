"""The parts of a study (egs/*/study1) that its shell script calls.

trainings   lists what is left to train, one line each
finish      reduces a finished training to training.json
test_set    takes part of a test set
syntheses   lists what is left to synthesise, one line each, and notes of what
score       scores every synthesis that has no scores of its waves
report      writes results.csv, results.md, index.html and figures
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.study.plan import Run, Variant, read_plan, runs_of, select

if TYPE_CHECKING:
    from espnet_fsqdiff.study.progress import SynthesisInputs

# Of the lines that the shell reads; a tab would swallow empty fields.
SEPARATOR = "|"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    planned = argparse.ArgumentParser(add_help=False)
    planned.add_argument("--plan", required=True, help="conf/variants.yaml")
    planned.add_argument("--expdir", type=Path, required=True)
    planned.add_argument("--variants", default="", help="only these, by spaces")
    planned.add_argument("--seeds", default="", help="these instead of the plan's")
    planned.add_argument("--steps", default="", help="these instead of the plan's")
    planned.add_argument("--quick", choices=["true", "false"], default="false")

    trained = argparse.ArgumentParser(add_help=False)
    trained.add_argument("--train_config", type=Path, required=True)
    trained.add_argument("--lm_config", type=Path, required=True)

    part = parts.add_parser("trainings", parents=[planned, trained])
    part.add_argument("--fsq_file", default="", help="weights of the tokenizer")
    part.add_argument("--rvq_file", default="", help="weights of the RVQ tokenizer")
    part.add_argument("--all", action="store_true", help="finished ones too")

    part = parts.add_parser("finish", parents=[planned])
    part.add_argument("--directory", required=True, help="name of the training")
    part.add_argument(
        "--config_digest", required=True, help="SHA-256 of its configuration"
    )
    part.add_argument("--keep_checkpoints", choices=["true", "false"], default="false")

    part = parts.add_parser("test_set")
    part.add_argument("--data_dir", type=Path, required=True)
    part.add_argument("--num_utts", type=int, default=0, help="0 for all")
    part.add_argument("--output_dir", type=Path, required=True)

    spoken = argparse.ArgumentParser(add_help=False)
    spoken.add_argument("--test_set", type=Path, required=True)
    spoken.add_argument("--decode_config", type=Path, required=True)
    spoken.add_argument("--lm_decode_config", type=Path, required=True)

    parts.add_parser("syntheses", parents=[planned, trained, spoken])

    part = parts.add_parser("score", parents=[planned, trained, spoken])
    _add_references(part)
    part.add_argument("--recognizer", default="pocketsphinx")
    part.add_argument("--nj", type=int, default=1, help="number of processes")

    part = parts.add_parser("report", parents=[planned])
    _add_references(part)
    part.add_argument("--theory", type=Path, required=True, help="codebook reports")
    part.add_argument("--title", default="Study")
    part.add_argument("--outdir", type=Path, required=True)
    return parser


def _add_references(part: argparse.ArgumentParser) -> None:
    part.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="originals, or resynthesised true tokens",
    )


def planned_variants(args: argparse.Namespace) -> List[Variant]:
    """The part of the plan that the options select."""

    def numbers(option: str) -> List[int]:
        text = getattr(args, option)
        try:
            return [int(x) for x in text.split()]
        except ValueError:
            raise InputError(f"--{option} '{text}': give numbers") from None

    return select(
        read_plan(args.plan),
        args.variants.split(),
        numbers("seeds"),
        numbers("steps"),
        args.quick == "true",
    )


def _print(*fields: object) -> None:
    line = [str(f) for f in fields]
    if any(SEPARATOR in f for f in line):
        raise InputError(f"the plan has a {SEPARATOR} in its options; leave it out")
    print(SEPARATOR.join(line))


def list_trainings(args: argparse.Namespace) -> None:
    """Print directory, variant, tag, decoder, tokens, if it has theory, options."""
    from espnet_fsqdiff.study.progress import pending_trainings

    variants = planned_variants(args)
    files = {"fsq": args.fsq_file, "rvq": args.rvq_file}
    if args.all:
        runs = runs_of(variants)
    else:
        runs = pending_trainings(variants, args.expdir, train_configs(args))
    for run in runs:
        v = run.variant
        theory = str(v.theory and v.decoder == "cdcd").lower()
        options = run.train_args(files[v.tokens])
        _print(run.directory, v.name, run.tag, v.decoder, v.tokens, theory, options)


def train_configs(args: argparse.Namespace) -> Dict[str, Path]:
    """By decoder, the configuration of its training."""
    return {"cdcd": args.train_config, "lm": args.lm_config}


def finish(args: argparse.Namespace) -> None:
    """Write training.json; the checkpoint is not needed after that."""
    from espnet_fsqdiff.study.progress import finish_training
    from espnet_fsqdiff.study.training import training_figures
    from espnet_fsqdiff.tasks.trainer import CHECKPOINT, PREVIOUS, read_training

    run = _named_run(args)
    directory = args.expdir / run.directory
    states = read_training(directory / CHECKPOINT)
    if states is None:
        raise InputError(f"{directory}/{CHECKPOINT}: none to read; train again")
    figures = training_figures(states)
    finish_training(run, args.expdir, figures, args.config_digest)
    if args.keep_checkpoints == "false":
        for name in (CHECKPOINT, PREVIOUS):
            (directory / name).unlink(missing_ok=True)


def _named_run(args: argparse.Namespace) -> Run:
    for run in runs_of(planned_variants(args)):
        if run.directory == args.directory:
            return run
    raise InputError(f"--directory {args.directory} is not in the plan")


def make_test_set(args: argparse.Namespace) -> None:
    """Write `text` and `wav.scp` of utterances spread evenly over a set."""
    from espnet_fsqdiff.data.datadir import write_table
    from espnet_fsqdiff.scoring.report import evenly_spread
    from espnet_fsqdiff.study.measure import read_test_set

    texts, wavs = read_test_set(args.data_dir)
    chosen = evenly_spread(list(texts), args.num_utts or len(texts))
    write_table(args.output_dir / "wav.scp", {utt: wavs[utt] for utt in chosen})
    write_table(args.output_dir / "text", {utt: texts[utt] for utt in chosen})


def synthesis_inputs(args: argparse.Namespace) -> "SynthesisInputs":
    """The files that syntheses depend on."""
    from espnet_fsqdiff.study.progress import SynthesisInputs

    configs = {"cdcd": args.decode_config, "lm": args.lm_decode_config}
    return SynthesisInputs(args.test_set, configs, train_configs(args))


def list_syntheses(args: argparse.Namespace) -> None:
    """Print training, decoder, tokens, directory and options; note the inputs."""
    from espnet_fsqdiff.study.progress import (
        begin_synthesis,
        pending_syntheses,
        synthesis_args,
    )

    inputs = synthesis_inputs(args)
    variants = planned_variants(args)
    for run, steps, directory in pending_syntheses(variants, args.expdir, inputs):
        begin_synthesis(directory, inputs.of(run, steps))
        v = run.variant
        options = synthesis_args(run, steps)
        _print(run.directory, v.decoder, v.tokens, directory, options)


def references_of(pairs: Sequence[str]) -> Dict[str, Path]:
    """Take `NAME=DIR` apart."""
    found: Dict[str, Path] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise InputError(f"--reference {pair}: give it as NAME=DIR")
        found[name] = Path(path)
    return found


def score(args: argparse.Namespace) -> None:
    """Score what is not scored yet, the settings of a training together."""
    from espnet_fsqdiff.scoring.recognizer import recognizer_choices
    from espnet_fsqdiff.study.measure import is_scored, score_directories
    from espnet_fsqdiff.study.progress import unscored

    if args.recognizer not in recognizer_choices:
        raise InputError(
            f"--recognizer {args.recognizer} is unknown; choose one of "
            f"{', '.join(recognizer_choices)}"
        )
    recognizer = recognizer_choices[args.recognizer]()
    inputs = synthesis_inputs(args)
    groups = list(unscored(planned_variants(args), args.expdir, inputs).values())
    groups += [
        [path]
        for path in references_of(args.reference).values()
        if not is_scored(path, args.test_set)
    ]
    cache = args.expdir / "recognized"
    for number, directories in enumerate(groups, 1):
        logging.info(f"{number} of {len(groups)}: {directories[0]}, ...")
        score_directories(directories, args.test_set, recognizer, args.nj, cache)


def report(args: argparse.Namespace) -> None:
    """Write the report of what there is, and print the verdicts."""
    from espnet_fsqdiff.study.collect import (
        check_same_utterances,
        collect,
        collect_reference,
    )
    from espnet_fsqdiff.study.report import write_report
    from espnet_fsqdiff.study.why import read_theory

    outcomes = collect(planned_variants(args), args.expdir)
    references = [
        collect_reference(name, path)
        for name, path in references_of(args.reference).items()
    ]
    check_same_utterances([*references, *outcomes])
    theory = read_theory(outcomes, args.theory)
    found = write_report(outcomes, references, theory, args.outdir, args.title)
    for verdict in found:
        print(f"* {verdict.sentence()}")
    print(args.outdir / "index.html")


PARTS = {
    "trainings": list_trainings,
    "finish": finish,
    "test_set": make_test_set,
    "syntheses": list_syntheses,
    "score": score,
    "report": report,
}


def main(cmd: Optional[List[str]] = None) -> None:
    """Run one part."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    PARTS[args.part](args)


if __name__ == "__main__":
    cli(main)
