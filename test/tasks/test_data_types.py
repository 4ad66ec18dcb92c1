"""ESPnet's dataset says which utterance, table and file is at fault."""

import numpy as np
import pytest
import soundfile
from espnet2.train import dataset, iterable_dataset

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.data_types import name_faults


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Tables of two utterances, as ESPnet is told of them."""
    for kind, entry in dataset.DATA_TYPES.items():
        monkeypatch.setitem(dataset.DATA_TYPES, kind, dict(entry))
    for kind, load in iterable_dataset.DATA_TYPES.items():
        monkeypatch.setitem(iterable_dataset.DATA_TYPES, kind, load)
    name_faults()
    name_faults()  # once more changes nothing
    rng = np.random.default_rng(0)
    rows = dict(wavs=[], tokens=[], text=["a hello", "b world"], durations=["a 1 2"])
    rows["durations"].append("b 3")
    for utt in "ab":
        path = tmp_path / f"{utt}.flac"
        soundfile.write(path, rng.normal(0, 0.1, 4000), 16000)
        rows["wavs"].append(f"{utt} {path}")
    ark = tmp_path / "tokens.ark"
    tokens = {"a": np.arange(50), "b": np.arange(60)}
    for utt, offset in write_ark(ark, tokens).items():
        rows["tokens"].append(f"{utt} {ark}:{offset}")
    for name, lines in rows.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))

    kinds = dict(wavs="sound", tokens="kaldi_ark", durations="text_int", text="text")
    return [(str(tmp_path / name), name, kind) for name, kind in kinds.items()]


def letters(uid, data):
    """A dataset gives arrays alone."""
    return {**data, "text": np.array([ord(c) for c in data["text"]])}


def read(tables, utt):
    """One utterance, as training reads it."""
    return dataset.ESPnetDataset(tables, preprocess=letters)[utt][1]


def stream(tables):
    """All of them, as statistics are collected; text apart, which becomes numbers."""
    return dict(iterable_dataset.IterableESPnetDataset(tables[:3]))


def test_whole_files_are_read(tables):
    data = read(tables, "b")
    assert (len(data["wavs"]), len(data["tokens"])) == (4000, 60)
    assert "".join(map(chr, data["text"])) == "world"
    assert data["durations"].tolist() == [3]
    found = stream(tables)
    assert list(found) == ["a", "b"]
    assert found["a"]["tokens"].tolist() == list(range(50))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm, message",
    [
        (
            lambda d: (d / "b.flac").unlink(),
            r"b: .*b.flac \(of .*wavs\) cannot be read",
        ),
        (lambda d: flip(d / "b.flac"), r"b: .*b.flac \(of .*wavs\) cannot be read"),
        (
            lambda d: (d / "tokens.ark").write_bytes(b"b \0BI\4"),
            r"b: .*tokens.ark:\d+ \(of .*tokens\) cannot be read",
        ),
        (lambda d: (d / "text").write_text("a hello\n"), "b is not in .*text; make it"),
        (lambda d: (d / "durations").write_text("a 1 x\n"), "durations cannot be read"),
    ],
)
def test_faults_name_utterance_table_and_file(tables, tmp_path, harm, message):
    harm(tmp_path)
    with pytest.raises(InputError, match=message):
        read(tables, "b")


def test_commands_and_pickles_of_a_table_are_not_run(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ark").write_bytes(b"PKL cos\nmkdir\n(S'ran'\ntR.")
    for entry in ("touch ran |", "x.ark:0"):
        (tmp_path / "tokens").write_text(f"a {entry}\nb {entry}\n")
        for each in (lambda: read(tables, "b"), lambda: stream(tables)):
            with pytest.raises(InputError, match="cannot be read"):
                each()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "harm, message",
    [
        (lambda d: (d / "b.flac").unlink(), "b.flac cannot be read"),
        (lambda d: flip(d / "b.flac"), "b.flac cannot be read"),
        (lambda d: (d / "tokens.ark").unlink(), r"tokens.ark:\d+ cannot be read"),
    ],
)
def test_faults_are_named_where_statistics_are_collected(
    tables, tmp_path, harm, message
):
    harm(tmp_path)
    with pytest.raises(InputError, match=message):
        stream(tables)
