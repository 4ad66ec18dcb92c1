import json

import numpy as np
import pytest

from espnet_fsqdiff.bin.fit_duration import main
from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.duration import load_duration
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token_io import write_int_table

SYMBOLS = ["<sos/eos>", "<space>", *"abcde"]


def frames_of(text):
    """2 frames an edge or space; a letter is longer after an `a`."""
    frames, before = [2], "<"
    for c in text:
        frames.append(2 if c == " " else 1 + "abcde".index(c) + 3 * (before == "a"))
        before = c
    return [*frames, 2]


@pytest.fixture
def recipe(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "tokens.txt").write_text("\n".join(SYMBOLS) + "\n")
    for name, size in (("train", 120), ("valid", 20)):
        words = [
            " ".join("".join(rng.choice(list("abcde"), 4)) for _ in range(3))
            for _ in range(size + 1)
        ]
        text = {f"u{i:03d}": w for i, w in enumerate(words)}
        write_table(tmp_path / name / "text", text)
        text.popitem()  # text may have utterances that were dropped
        frames = {utt: frames_of(w) for utt, w in text.items()}
        tokens = tmp_path / "tokens" / name
        write_table(tokens / "utt2num_tokens", {u: sum(f) for u, f in frames.items()})
        write_int_table(tokens / "durations.txt", frames)
    return tmp_path


def run(recipe, *more):
    cmd = ["--token_list", recipe / "tokens.txt", "--output_dir", recipe / "exp"]
    for name in ("train", "valid"):
        cmd += [f"--{name}_tokens", recipe / "tokens" / name]
        cmd += [f"--{name}_text", recipe / name / "text"]
    main([str(x) for x in (*cmd, "--cleaner", "none", *more)])
    stats = json.loads((recipe / "exp" / "stats.json").read_text())
    return load_duration(recipe / "exp" / "duration.yaml", SYMBOLS), stats


def test_context_where_there_is_an_alignment(recipe):
    model, stats = run(recipe)
    assert model.kind == stats["kind"] == "context"
    assert stats["num_train_utts"] == 120 and stats["num_valid_utts"] == 20
    context, table = stats["kinds"]["context"], stats["kinds"]["table"]
    assert stats["mean_relative_error"] == context["mean_relative_error"] < 0.02
    assert context["mean_relative_error"] < table["mean_relative_error"]
    assert context["mean_boundary_error"] < table["mean_boundary_error"]


def test_table_on_request(recipe):
    model, stats = run(recipe, "--kind", "table")
    assert model.kind == stats["kind"] == "table"
    assert set(stats["kinds"]) == {"table", "context"}


def test_table_without_alignment(recipe):
    for path in recipe.rglob("durations.txt"):
        path.unlink()
    model, stats = run(recipe)
    assert model.kind == "table" and set(stats["kinds"]) == {"table"}
    with pytest.raises(InputError, match="--kind context needs the alignment"):
        run(recipe, "--kind", "context")


def test_bad_input(recipe):
    durations = recipe / "tokens" / "train" / "durations.txt"
    durations.write_text(durations.read_text().replace("u005 2 ", "u005 3 "))
    with pytest.raises(InputError, match="durations.txt: utterance u005 does not fit"):
        run(recipe)
    text = recipe / "train" / "text"
    lines = text.read_text().splitlines()
    text.write_text("\n".join([*lines[:7], "u007 abc 7", *lines[8:]]) + "\n")
    with pytest.raises(InputError, match="u007: .*'7'"):
        run(recipe)
    text.write_text("\n".join(lines[:7]) + "\n")
    with pytest.raises(InputError, match="utterance u007 .* is missing"):
        run(recipe)
    (recipe / "tokens" / "train" / "utt2num_tokens").unlink()
    with pytest.raises(InputError, match="extract tokens"):
        run(recipe)
