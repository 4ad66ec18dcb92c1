"""Stands in for `python3` in the test of a study's shell: nothing is trained.

Trainings and syntheses leave empty results; what the study itself does is real.
Every call is a line of `calls.txt`. The file `stop_at`, if there is one, holds the
name of a training in which the process is to fail.
"""

import json
import sys
from pathlib import Path

PACKAGE = "espnet_fsqdiff.bin."


def option(args, name):
    return args[args.index(name) + 1]


def finish(args):
    from espnet_fsqdiff.bin.study import get_parser, planned_variants
    from espnet_fsqdiff.study.plan import runs_of
    from espnet_fsqdiff.study.progress import finish_training

    found = get_parser().parse_args(args)
    for run in runs_of(planned_variants(found)):
        if run.directory == found.directory:
            figures = {"train_seconds": 1.0, "parameters": 10, "valid": {"loss": 1.0}}
            updates = run.variant.updates
            finish_training(run, found.expdir, {"updates": updates, **figures})


def score(args):
    from espnet_fsqdiff.bin.study import get_parser, planned_variants, references_of
    from espnet_fsqdiff.study.measure import UtteranceScores, write_scores
    from espnet_fsqdiff.study.progress import unscored

    found = get_parser().parse_args(args)
    groups = unscored(planned_variants(found), found.expdir)
    directories = [d for group in groups.values() for d in group]
    directories += references_of(found.reference).values()
    for directory in directories:
        assert (directory / "wav.scp").is_file()
        rows = [
            UtteranceScores(utt, i, 10, i, 5, None, None, None, None, None, 3, 5, "x")
            for i, utt in enumerate("abc")
        ]
        write_scores(directory / "utterances.csv", rows)


def synthesise(args):
    directory = Path(option(args, "--output_dir"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "wav.scp").write_text("a a.wav\nb b.wav\nc c.wav\n")
    (directory / "stats.json").write_text(json.dumps({"rtf_sampling": 0.1}))


def codebook_report(args):
    path = Path(option(args, "--output"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("codebook,D(E),A(1)\nx,1.0,0.5\n")


def main():
    module, args = sys.argv[2], sys.argv[3:]
    name = module.removeprefix(PACKAGE)
    with open("calls.txt", "a") as f:
        f.write(" ".join([name, *args]) + "\n")
    if name == "study" and args[0] in ("finish", "score"):
        {"finish": finish, "score": score}[args[0]](args)
    elif name in ("tts_inference", "resynthesize"):
        synthesise(args)
    elif name == "codebook_report":
        codebook_report(args)
    else:
        import runpy

        sys.argv = [name, *args]
        runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
