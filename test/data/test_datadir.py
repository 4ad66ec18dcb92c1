import pytest
import soundfile

from espnet_fsqdiff.bin.validate_data_dir import main as validate
from espnet_fsqdiff.data.datadir import (
    DataDir,
    read_num_samples,
    read_prompts,
    read_table,
    write_table,
)
from espnet_fsqdiff.errors import InputError


@pytest.fixture
def good(tmp_path):
    """A data directory of three utterances and two speakers."""
    for utt in "abc":
        (tmp_path / f"{utt}.wav").write_bytes(b"")
    data = DataDir(
        {u: str(tmp_path / f"{u}.wav") for u in "abc"},
        {"a": "one two", "b": "three", "c": "four"},
        {"a": "s1", "b": "s2", "c": "s1"},
    )
    data.write(tmp_path / "set")
    return tmp_path / "set"


def test_round_trip(good):
    data = DataDir.read(good)
    assert data.text == {"a": "one two", "b": "three", "c": "four"}
    assert (good / "spk2utt").read_text() == "s1 a c\ns2 b\n"
    data.subset(["c", "b"]).write(good)
    assert list(DataDir.read(good).wav) == ["b", "c"]


def test_write_table_sorts_as_the_c_locale_does(tmp_path):
    table = {k: 1 for k in ["b", "B", "a_1", "a-1", "é", "a1"]}
    write_table(tmp_path / "t", table)
    keys = [
        line.split()[0] for line in (tmp_path / "t").read_text("utf-8").split("\n")[:-1]
    ]
    assert keys == sorted(table, key=lambda k: k.encode())
    assert list(read_table(tmp_path / "t")) == keys


@pytest.mark.parametrize(
    "name, content, culprits",
    [
        ("text", "a one\na two\nb x\nc y\n", ["text:2", "utterance a", "twice"]),
        ("text", "b one\na two\nc x\n", ["text:2", "a comes after b", "LC_ALL=C"]),
        ("text", "a one\nb two\n", ["text", "utterance c", "missing"]),
        ("text", "a one\nb two\nc x\nd y\n", ["wav.scp", "utterance d", "missing"]),
        ("text", "a one\nb\nc x\n", ["text", "utterance b", "empty"]),
        ("text", "a one\nb   \nc x\n", ["text", "utterance b", "empty"]),
        ("text", "a one\n\nb x\nc y\n", ["text:2", "empty line"]),
        ("utt2spk", "a s1\nb s2\n", ["utt2spk", "utterance c"]),
        ("utt2spk", "a s1\nb s1\nc s1\n", ["spk2utt", "utterance b", "s1"]),
        ("utt2spk", "a s1\nb\nc s1\n", ["utt2spk", "utterance b"]),
        ("spk2utt", "s1 a c d\ns2 b\n", ["spk2utt", "utterance d"]),
        (
            "wav.scp",
            "a /no/such.wav\nb x\nc y\n",
            ["wav.scp", "utterance a", "/no/such"],
        ),
        ("wav.scp", "a cat x |\nb x\nc y\n", ["wav.scp", "utterance a", "command"]),
        ("wav.scp", "", ["wav.scp", "no utterance"]),
    ],
)
def test_bad_input_is_named(good, name, content, culprits):
    (good / name).write_text(content)
    with pytest.raises(InputError) as e:
        DataDir.read(good)
    assert "\n" not in str(e.value)
    for culprit in culprits:
        assert culprit in str(e.value)


@pytest.fixture
def prompted(good):
    """The same, each utterance with one of the others as its prompt."""
    data = DataDir.read(good)
    data.prompt_wav = {u: data.wav[p] for u, p in zip("abc", "bca")}
    data.prompt_text = {u: data.text[p] for u, p in zip("abc", "bca")}
    data.write(good)
    return good


def test_prompts_are_read_and_written(prompted):
    data = DataDir.read(prompted)
    assert data.prompt_text == {"a": "three", "b": "four", "c": "one two"}
    data.subset(["c", "b"]).write(prompted)
    data = DataDir.read(prompted)
    assert data.prompt_wav["c"].endswith("a.wav") and set(data.prompt_wav) == {"b", "c"}
    assert read_prompts(prompted, "bc") == (data.prompt_wav, data.prompt_text)
    # A set without prompts does not keep those of another.
    data.prompt_wav = data.prompt_text = {}
    data.write(prompted)
    assert not list(prompted.glob("prompt_*"))
    assert read_prompts(prompted, "bc") == ({}, {})


@pytest.mark.parametrize(
    "name, content, culprits",
    [
        ("prompt_text", "a x\nb y\n", ["prompt_text", "utterance c", "missing"]),
        ("prompt_text", "a x\nb\nc y\n", ["prompt_text", "utterance b", "empty"]),
        ("prompt_text", None, ["prompt_text", "no such file", "prompt_wav.scp"]),
        ("prompt_wav.scp", None, ["prompt_wav.scp", "no such file", "both or neither"]),
        ("prompt_wav.scp", "", ["prompt_wav.scp", "utterance a", "missing"]),
        ("prompt_wav.scp", "a x\nb x\nc x\nd x\n", ["text", "utterance d"]),
        ("prompt_wav.scp", "a x\nb x\nc x\n", ["utterance a names x", "not exist"]),
        ("prompt_wav.scp", "a x |\nb x\nc x\n", ["utterance a is a command"]),
    ],
)
def test_broken_prompts_are_named(prompted, name, content, culprits):
    (prompted / name).unlink()
    if content is not None:
        (prompted / name).write_text(content)
    with pytest.raises(InputError) as e:
        DataDir.read(prompted)
    assert "\n" not in str(e.value)
    for culprit in culprits:
        assert culprit in str(e.value)


def test_missing_file_directory_and_encoding(good):
    with pytest.raises(InputError, match="stage 1"):
        DataDir.read(good / "none")
    (good / "text").write_bytes(b"a \xff\nb x\nc y\n")
    with pytest.raises(InputError, match="UTF-8"):
        DataDir.read(good)
    (good / "text").unlink()
    with pytest.raises(InputError, match="text: no such file"):
        DataDir.read(good)


def test_segments_are_refused(good):
    (good / "segments").write_text("u1 rec1 0.0 1.5\n")
    with pytest.raises(InputError, match="segments: parts of recordings are not read"):
        DataDir.read(good)


def test_utterance_id_with_a_slash(good):
    with pytest.raises(InputError, match="a/b has a slash"):
        data = DataDir.read(good)
        wav = data.wav["a"]
        DataDir({"a/b": wav}, {"a/b": "x"}, {"a/b": "s"}).write(good)
        DataDir.read(good)


def test_num_samples(good):
    wav = DataDir.read(good).wav
    write_table(good / "utt2num_samples", {"a": 1, "b": 2, "c": 3})
    assert read_num_samples(good / "utt2num_samples", wav) == {"a": 1, "b": 2, "c": 3}
    write_table(good / "utt2num_samples", {"a": 1, "b": 2})
    with pytest.raises(InputError, match="utterance c"):
        read_num_samples(good / "utt2num_samples", wav)
    write_table(good / "utt2num_samples", {"a": "x", "b": 2, "c": 3})
    with pytest.raises(InputError, match="stage 2"):
        read_num_samples(good / "utt2num_samples", wav)


def test_command(good):
    validate([str(good)])
    with pytest.raises(InputError, match="^a: "):
        # The files are there, but there is nothing in them.
        validate([str(good), "--read_audio"])


def test_command_reads_prompts(prompted):
    for utt in "abc":
        soundfile.write(prompted.parent / f"{utt}.wav", [0.1, -0.1, 0.1], 16000)
    validate([str(prompted), "--read_audio"])
    (prompted.parent / "other.wav").write_bytes(b"RIFF")
    data = DataDir.read(prompted)
    data.prompt_wav["b"] = str(prompted.parent / "other.wav")
    data.write(prompted)
    with pytest.raises(InputError, match="^prompt of b: "):
        validate([str(prompted), "--read_audio"])


@pytest.mark.parametrize("name", ["wav.scp", "text", "utt2spk", "spk2utt"])
def test_tables_of_odd_bytes_are_named(good, name):
    path = good / name
    whole = path.read_bytes()
    for content, message in (
        (b"\xef\xbb\xbf" + whole, "begins with a byte order mark"),
        (whole.decode().encode("utf-16"), "not UTF-8"),
        (b"\0" + whole, r"1: '.*' is no utterance id"),
        ("\u202ea b\n".encode(), r"1: '.*' is no utterance id"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.*{message}"):
            DataDir.read(good)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        DataDir.read(good)


def test_ids_that_are_no_file_names(tmp_path):
    long = "x" * 300
    (tmp_path / "a.wav").write_bytes(b"")
    DataDir({long: str(tmp_path / "a.wav")}, {long: "a"}, {long: "s"}).write(tmp_path)
    with pytest.raises(InputError, match="is longer than 200 bytes"):
        DataDir.read(tmp_path)


@pytest.mark.parametrize("name", ["/" + "x" * 5000, "a\0b", "/dev/null"])
def test_odd_names_of_audio(good, name):
    table = read_table(good / "wav.scp")
    write_table(good / "wav.scp", {**table, "b": name})
    with pytest.raises(
        InputError, match="wav.scp: utterance b names .*, which does not"
    ):
        DataDir.read(good)
