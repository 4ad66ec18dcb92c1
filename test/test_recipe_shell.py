"""The shell of the recipes: options, help, missing inputs, wall seconds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "egs/TEMPLATE/fsqdiff1"


def bash(script, cwd, *args):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return subprocess.run(
        ["bash", "-c", script, "recipe.sh", *args],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
    )


SCRIPT = f"""set -euo pipefail
stage=1
train_args=
skip_train=false
help_message="the help"
. {TEMPLATE}/utils/parse_options.sh
echo "stage=$stage train_args=[$train_args] skip_train=$skip_train rest=$*"
"""


@pytest.mark.parametrize(
    "args, out",
    [
        ([], "stage=1 train_args=[] skip_train=false rest="),
        (
            ["--stage", "3", "--train-args", "--a b --c 'd'", "--skip_train", "true"],
            "stage=3 train_args=[--a b --c 'd'] skip_train=true rest=",
        ),
        (
            ["--stage", "2", "--stage", "4", "x"],
            "stage=4 train_args=[] skip_train=false rest=x",
        ),
        (["--help"], "the help"),
    ],
)
def test_parse_options(tmp_path, args, out):
    done = bash(SCRIPT, tmp_path, *args)
    assert (done.returncode, done.stdout.strip()) == (0, out)


@pytest.mark.parametrize(
    "args, error",
    [
        (["--nonsense", "1"], "unknown option --nonsense"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["-x"], "unknown option -x"),
        (["--stage"], "--stage lacks its value"),
        (["--stage=3"], "write --stage 3"),
        (["--skip_train", "yes"], "true or false"),
    ],
)
def test_parse_options_faults(tmp_path, args, error):
    done = bash(SCRIPT, tmp_path, *args)
    assert done.returncode == 2
    assert done.stderr.startswith("recipe.sh: error: ") and error in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def recipe(tmp_path):
    """A recipe directory beside those of the project, with a data.sh of its own."""
    task = tmp_path / "egs/toy/tts1"
    (task / "local").mkdir(parents=True)
    for name in ["fsqdiff.sh", "cmd.sh", "path.sh", "utils"]:
        (task / name).symlink_to(TEMPLATE / name)
    data = task / "local/data.sh"
    data.write_text('#!/usr/bin/env bash\nmkdir -p "$2" && echo "$*" > "$2/said"\n')
    data.chmod(0o755)
    return task


def test_help_names_stages_and_options(recipe):
    done = bash("./fsqdiff.sh --help", recipe)
    assert done.returncode == 0
    for number in range(1, 16):
        assert f"\n  {number:2d} " in done.stdout
    for option in ["stage", "ngpu", "train_config", "inference_tag", "token_type"]:
        assert f"  --{option} (" in done.stdout


def test_stage_runs_and_its_seconds_are_kept(recipe):
    done = bash('./fsqdiff.sh --stop_stage 1 --local_data_opts "--num 3"', recipe)
    assert done.returncode == 0, done.stderr
    assert "Stage 1: data" in done.stdout
    assert (recipe / "data/said").read_text() == "--output_dir data --num 3\n"
    number, name, seconds = (recipe / "exp/wall_seconds.txt").read_text().split()
    assert (number, name) == ("1", "data") and float(seconds) >= 0


@pytest.mark.parametrize(
    "stage, error",
    [
        (2, "data/train is missing; run stage 1 (data)"),
        (3, "dump/raw/org/train is missing; run stage 2 (format audio)"),
        (4, "dump/raw/train/text is missing; run stage 3 (drop utterances)"),
        (5, "dump/raw/train/wav.scp is missing; run stage 3"),
        (6, "tokens.txt is missing; run stage 4 (text token list)"),
        (7, "dump/raw/train is missing; run stage 3"),
        (8, "tokens.txt is missing; run stage 4"),
        (9, "tokens.txt is missing; run stage 4"),
        (10, "config.yaml is missing; run stage 6 (tokenizer training)"),
        (12, "config.yaml is missing; run stage 6"),
        (13, "wav.scp is missing; run stage 12 (synthesis)"),
        (14, "config.yaml is missing; run stage 6"),
        (15, "--hf_repo is missing"),
    ],
)
def test_missing_input_names_its_stage(recipe, stage, error):
    for config in ["train_tokenizer", "train_cdcd", "decode"]:
        (recipe / "conf").mkdir(exist_ok=True)
        (recipe / f"conf/{config}.yaml").write_text("{}\n")
    done = bash(
        f"./fsqdiff.sh --stage {stage} --stop_stage {stage} --skip_upload false", recipe
    )
    assert done.returncode == 2
    assert error in done.stderr
    assert f"stage {stage} (" in done.stderr.splitlines()[-1]


def lines_of(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def test_durations_are_given_where_there_are_some(recipe):
    script = "set -euo pipefail\nraw=raw tokens=tokens\n"
    script += shell_function("decoder_tables")
    script += 'decoder_tables x && echo "${tables[@]}"'
    always = "raw/x/text,text,text tokens/x/tokens.scp,speech_token,kaldi_ark"
    assert bash(script, recipe).stdout == always + "\n"
    lines_of(recipe / "tokens/x/durations.txt", "a 1")
    found = bash(script, recipe).stdout
    assert found == f"{always} tokens/x/durations.txt,durations,text_int\n"


def test_a_training_reads_its_tables_whole_or_in_parts(recipe):
    for name in ("text", "lengths"):
        lines_of(recipe / name, *(f"utt{n} {n}" for n in range(5)))
    option = "--train_data_path_and_name_and_type"
    script = "set -euo pipefail\n. utils/training_data.sh\n"
    script += f"python={sys.executable} train_set=. valid_set=dev\nsplits\n"
    script += "set_tables() { tables=($1/$2,text,text_int); }\n"
    script += 'training_data exp lengths set_tables text; echo "${data_opts[@]}"'

    def said(splits):
        done = bash(script.replace("\nsplits", f"\nnum_splits={splits}"), recipe)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    whole = f"{option} ./text,text,text_int"
    valid = "--valid_data_path_and_name_and_type dev/text,text,text_int"
    assert said(1) == f"{valid} {whole} --train_shape_file lengths"
    parts = recipe / "exp/splits2"
    assert said(2) == (
        f"{valid} --multiple_iterator true --train_shape_file exp/splits2/lengths "
        f"{option} exp/splits2/text,text,text_int"
    )
    texts = [(parts / f"text/split.{n}").read_text() for n in range(2)]
    lengths = [(parts / f"lengths/split.{n}").read_text() for n in range(2)]
    assert texts == lengths and len("".join(texts).splitlines()) == 5
    (parts / "kept").touch()
    said(2)
    assert (parts / "kept").exists()
    lines_of(recipe / "text", "utt0 0")
    lines_of(recipe / "lengths", "utt0 0", "utt1 1")
    assert bash(script.replace("splits", "num_splits=2", 1), recipe).returncode != 0
    assert not (parts / ".done").exists()


def test_several_nodes_need_a_cluster(recipe):
    done = bash("./fsqdiff.sh --stage 6 --num_nodes 2", recipe)
    assert done.returncode == 2
    assert "--num_nodes 2 needs a cluster: cmd_backend=slurm or sge" in done.stderr


def test_the_validation_set_may_be_tested_too(recipe):
    for name in ("train", "valid", "test"):
        lines_of(recipe / f"data/{name}/wav.scp", "a x.wav")
    python = recipe / "python"
    python.write_text('#!/bin/sh\necho "$@" > said\n')
    python.chmod(0o755)
    options = f"--python {python} --test_sets 'test valid' --nj 1000"
    done = bash(f"./fsqdiff.sh --stage 2 --stop_stage 2 {options}", recipe)
    assert done.returncode == 0, done.stderr
    said = (recipe / "said").read_text()
    assert "--sets train valid test --fs" in said
    # Processes run here, where there are not that many processors.
    assert int(said.split("--nj ")[1]) < 1000


def test_tables_of_other_utterances_stop_a_stage(recipe):
    lines_of(recipe / "conf/train_tokenizer.yaml", "{}")
    for name in ("train", "valid"):
        for table in ("wav.scp", "text", "utt2num_samples"):
            lines_of(recipe / f"dump/raw/{name}/{table}", "a 1", "b 2", "b_3 3")
    run = "./fsqdiff.sh --stage 5 --stop_stage 5"
    assert "tokens.txt is missing; run stage 4" in bash(run, recipe).stderr
    lines_of(recipe / "dump/raw/valid/text", "a 1", "b 2")
    done = bash(run, recipe)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "fsqdiff.sh: error: dump/raw/valid/text and dump/raw/valid/wav.scp have other "
        "utterances; run stage 3 (drop utterances) again: --stage 3\n"
    )


def test_a_list_is_not_made_of_half_of_the_text(recipe):
    lines_of(recipe / "dump/raw/train/wav.scp", "a 1", "b 2")
    for name in ("train", "valid", "test"):
        lines_of(recipe / f"dump/raw/{name}/text", "a x")
    done = bash("./fsqdiff.sh --stage 4 --stop_stage 4", recipe)
    assert done.returncode == 2
    assert "dump/raw/train/text and dump/raw/train/wav.scp have other" in done.stderr
    assert not (recipe / "dump/token_list/char/tokens.txt").exists()


def test_damaged_tokens_stop_a_stage(recipe):
    tokens = recipe / "dump/tokens/train_tokenizer"
    lines_of(recipe / "conf/train_cdcd.yaml", "{}")
    lines_of(recipe / "dump/token_list/char/tokens.txt", "<sos/eos>")
    lists = recipe / "dump/token_list/char"
    sealed = "cd ../../.. && sha256sum $OLDPWD/tokens.txt > $OLDPWD/tokens.sha256"
    assert bash(sealed, lists).returncode == 0
    for name in ("train", "valid"):
        lines_of(tokens / name / "tokens.1.1.ark", "payload of", name)
        sums = "cd ../../.. && sha256sum $OLDPWD/tokens.1.1.ark > $OLDPWD/tokens.sha256"
        assert bash(sums, tokens / name).returncode == 0
    run = "./fsqdiff.sh --stage 9 --stop_stage 9"
    assert "tokens.scp is missing" in bash(run, recipe).stderr  # what is looked at next
    ark = tokens / "valid/tokens.1.1.ark"
    ark.write_bytes(ark.read_bytes().replace(b"of", b"on"))
    done = bash(run, recipe)
    assert done.returncode == 2
    assert "valid/tokens.1.1.ark: FAILED (see dump/tokens/" in done.stderr
    assert "run stage 7 (token extraction) again: --stage 7" in done.stderr
    ark.unlink()
    done = bash(run, recipe)
    assert "valid/tokens.1.1.ark: No such file or directory (see dump" in done.stderr
    assert len(done.stderr.splitlines()) == 2  # the stage that failed is the other


def test_skips(recipe):
    skips = " ".join(
        f"--skip_{x} true" for x in ["data_prep", "train", "eval", "packing"]
    )
    done = bash(f"./fsqdiff.sh {skips}", recipe)
    assert done.returncode == 0 and "Stage" not in done.stdout


def test_option_that_is_no_number(recipe):
    done = bash("./fsqdiff.sh --nj many", recipe)
    assert done.returncode == 2 and "--nj is a number" in done.stderr


def test_the_decoder_names_stages_and_directories(recipe):
    done = bash("./fsqdiff.sh --decoder gan", recipe)
    assert done.returncode == 2 and "--decoder 'gan' is unknown" in done.stderr
    (recipe / "conf").mkdir()
    (recipe / "conf/train_lm.yaml").write_text("{}\n")
    lines_of(recipe / "exp/tokenizer_train_tokenizer/config.yaml", "{}")
    duration = "exp/duration_train_tokenizer/duration"
    lines_of(recipe / f"{duration}.yaml", "{}")
    sealed = bash(f"sha256sum {duration}.yaml > {duration}.sha256", recipe)
    assert sealed.returncode == 0
    lm = "./fsqdiff.sh --decoder lm --train_config conf/train_lm.yaml"
    done = bash(f"{lm} --stage 10 --stop_stage 10", recipe)
    missing = "exp/lm_stats_train_tokenizer/valid/stats_keys is missing"
    assert f"{missing}; run stage 9 (language model statistics)" in done.stderr
    assert "stage 10 (language model training) failed" in done.stderr


def test_missing_cluster_script(recipe):
    done = bash("cmd_backend=slurm ./fsqdiff.sh --stop_stage 1", recipe)
    assert done.returncode == 2
    assert "needs slurm.pl on the PATH" in done.stderr
    done = bash("cmd_backend=moon ./fsqdiff.sh --stop_stage 1", recipe)
    assert done.returncode == 2 and "cmd_backend=moon is unknown" in done.stderr


def shell_function(name):
    text = (TEMPLATE / "fsqdiff.sh").read_text()
    start = text.index(f"\n{name}() {{") + 1
    return text[start : text.index("\n}\n", start) + 3]


def test_check_sums_that_cannot_be_written_are_named(recipe):
    lines_of(recipe / "x", "1")
    functions = "".join(map(shell_function, ("die", "unwritten", "seal")))
    script = f"set -euo pipefail\n{functions}seal x.sha256 x; echo after"
    assert bash(script, recipe).stdout == "after\n"
    assert (recipe / "x.sha256").read_text().endswith("  x\n")
    (recipe / "x.sha256").unlink()
    done = bash(f"sha256sum() {{ return 1; }}\n{script}", recipe)
    assert done.returncode == 2 and "after" not in done.stdout
    assert "x.sha256 cannot be written: no space left" in done.stderr
    assert not (recipe / "x.sha256").exists()


def test_old_training_logs_are_kept(recipe):
    function = shell_function("keep_log")
    for content in ["first", "second", "third"]:
        done = bash(
            f"{function}\nkeep_log train.log\necho {content} > train.log", recipe
        )
        assert done.returncode == 0, done.stderr
    names = ["train.log", "train.1.log", "train.2.log"]
    assert [(recipe / n).read_text().strip() for n in names] == [
        "third",
        "second",
        "first",
    ]


def training_script(command='bash -c "$1"', **options):
    """Train in exp/x, on the file `data`, by a command that is an argument."""
    local = "python3 -m espnet_fsqdiff.bin.run_local"
    options = {"num_nodes": 1, "ngpu": 0, "cuda_cmd": local, **options}
    names = "die log keep_log data_digest same_data train".split()
    script = "set -euo pipefail\n" + "".join(map(shell_function, names))
    script += "".join(f"{name}='{value}'\n" for name, value in options.items())
    return f"{script}train exp/x data -- {command}\n"


SLURM_PL = """#!/usr/bin/env bash
while [[ "$1" == --* ]]; do
    declare -x "${1#--}=$2"
    shift 2
done
log=$1
shift
echo "${name} ${gpu} ${num_nodes}" > asked
"$@" > "${log}" 2>&1
"""
# A process a node.
SRUN = """#!/usr/bin/env bash
[ "$1" = --export=ALL ] && shift
export SLURM_NTASKS=${num_nodes} SLURM_STEP_NUM_NODES=${num_nodes}
export SLURM_STEP_NODELIST="node[0-1]" SLURM_LOCALID=0
processes=() status=0
for ((node = 0; node < num_nodes; node++)); do
    SLURM_PROCID=${node} SLURM_NODEID=${node} "$@" &
    processes+=($!)
done
for process in "${processes[@]}"; do wait "${process}" || status=$?; done
exit "${status}"
"""


def test_a_training_on_two_nodes(recipe):
    """By ESPnet's launcher; stand-ins for slurm's commands start a process a node."""
    from benchmarks import distributed

    for name, script in (("slurm.pl", SLURM_PL), ("srun", SRUN)):
        (recipe / name).write_text(script)
        (recipe / name).chmod(0o755)
    distributed.write_corpus(recipe, 4)
    (recipe / "exp").mkdir()
    words = distributed.command(recipe, recipe / "exp/x", batch_size=2)
    (recipe / "data").touch()
    options = dict(num_nodes=2, cuda_cmd="slurm.pl", python="python3")
    script = "PATH=${PWD}:${PATH}\n" + training_script('"$@"', **options)
    task = ("python3", "-m", "espnet_fsqdiff.bin.cdcd_train")
    done = bash(script, recipe, *task, *words)
    assert done.returncode == 0, done.stderr
    log = (recipe / "exp/x/train.log").read_text()
    assert (recipe / "asked").read_text() == "x 0 2\n"
    assert ":0/2]" in log  # the first of two
    assert (recipe / "exp/x/valid.loss.ave.pth").exists()


def test_a_training_does_not_go_on_with_other_data(recipe):
    script = training_script()
    (recipe / "data").write_text("a 1\n")
    assert bash(script, recipe, "true").returncode == 0
    (recipe / "data").write_text("a 2\n")  # nothing has been trained yet
    assert bash(script, recipe, "touch exp/x/checkpoint.pth").returncode == 0
    assert bash(script, recipe, "true").returncode == 0
    (recipe / "data").write_text("a 3\n")
    done = bash(script, recipe, "touch ran")
    assert done.returncode == 2 and not (recipe / "ran").exists()
    assert "exp/x was trained on other data than now: one of data" in done.stderr
    (recipe / "data").write_text("a 2\n")
    assert bash(script, recipe, "true").returncode == 0
    # What was begun before this was kept goes on, and is kept from then.
    (recipe / "exp/x/.data").unlink()
    assert bash(script, recipe, "true").returncode == 0
    assert (recipe / "exp/x/.data").exists()


def test_check_sums_stand_for_the_files_they_list(recipe):
    digest = shell_function("data_digest") + "data_digest "
    lines_of(recipe / "here/tokens.sha256", "1234  here/tokens.txt")
    lines_of(recipe / "there/tokens.sha256", "1234  there/tokens.txt")
    lines_of(recipe / "other.sha256", "1235  here/tokens.txt")
    names = ("here/tokens.sha256", "there/tokens.sha256", "other.sha256")
    here, there, other = (bash(digest + name, recipe).stdout for name in names)
    assert here == there != other and len(here.strip()) == 64
    done = bash("set -euo pipefail\n" + digest + "missing", recipe)
    assert done.returncode != 0


def test_one_training_at_a_time_writes_to_a_directory(recipe):
    (recipe / "data").touch()
    script = training_script()
    # The shell that started it is gone; the training itself still runs.
    job = "touch started; until [ -e enough ]; do sleep 0.1; done"
    command = ["bash", "-c", script, "recipe.sh", job]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=recipe, env=env) as shell:
        while not (recipe / "started").exists():
            assert shell.poll() is None
        shell.kill()
    done = bash(script, recipe, "true")
    assert done.returncode == 2 and "another training writes to exp/x" in done.stderr
    (recipe / "enough").touch()
    for _ in range(100):
        done = bash(script, recipe, "true")
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("corpus", ["mini", "kathleen"])
def test_recipes_share_the_template(corpus):
    task = ROOT / f"egs/{corpus}/tts1"
    for name in ["fsqdiff.sh", "cmd.sh", "path.sh"]:
        assert (task / name).resolve() == TEMPLATE / name
    for script in ["run.sh", "local/data.sh"]:
        assert os.access(task / script, os.X_OK)


@pytest.mark.skipif(not shutil.which("flite"), reason="flite is missing")
def test_mini_preset_faults():
    done = bash("./run.sh --preset huge", ROOT / "egs/mini/tts1")
    assert done.returncode == 2 and "--preset 'huge' is unknown" in done.stderr
