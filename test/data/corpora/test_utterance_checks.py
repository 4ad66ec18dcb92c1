"""What is wrong with an utterance is said with its id; where corpora are found."""

import argparse
from pathlib import Path

import pytest

from espnet_fsqdiff.data.corpora.finding import add_corpus_arguments, find_corpus
from espnet_fsqdiff.data.corpora.utterances import (
    Utterance,
    check_sets,
    one_line,
    read_text,
    seconds_of,
)
from espnet_fsqdiff.errors import InputError


@pytest.fixture
def good(tmp_path, record):
    record(tmp_path / "a.wav", 16000)
    return Utterance("a", tmp_path / "a.wav", "text", "s")


@pytest.mark.parametrize(
    "change, error",
    [
        ({"utt": ""}, "utterance id ''"),
        ({"utt": "a/b"}, "utterance id 'a/b'"),
        ({"utt": "a b"}, "utterance id 'a b'"),
        ({"speaker": ""}, "speaker ''"),
        ({"text": ""}, "^a: it has no text"),
        ({"wav": Path("none.wav")}, "^a: no audio file none.wav"),
    ],
)
def test_faults(good, change, error):
    assert 0.3 < seconds_of(good, 16000) < 3
    with pytest.raises(InputError, match=error):
        seconds_of(good._replace(**change))


def test_an_empty_file_and_another_rate(good, tmp_path):
    with pytest.raises(InputError, match="^a: .* at 16000 Hz, the published .* 8000"):
        seconds_of(good, 8000)
    content = bytearray(good.wav.read_bytes()[:44])
    content[40:44] = bytes(4)  # no bytes of samples
    good.wav.write_bytes(content)
    with pytest.raises(InputError, match="^a: .*a.wav is empty"):
        seconds_of(good)


def test_sets(good):
    other = good._replace(utt="b")
    seconds = check_sets({"train": [good], "test": [other]}, 16000)
    assert list(seconds) == ["train", "test"] and list(seconds["test"]) == ["b"]
    with pytest.raises(InputError, match="^a: it is in train and in test"):
        check_sets({"train": [good], "test": [good]})
    with pytest.raises(InputError, match="no utterance for set test"):
        check_sets({"train": [good], "test": []})


def test_texts(tmp_path):
    assert one_line(" e\u0301\t a\n") == "\u00e9 a"
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(InputError, match="^a: .*text is not UTF-8"):
        read_text(tmp_path / "text", "a")


def parse(*options, **kind):
    parser = argparse.ArgumentParser()
    add_corpus_arguments(parser, **kind)
    return parser.parse_args(options)


def test_where_a_corpus_is_found(tmp_path):
    shared = tmp_path / "shared"
    assert find_corpus(parse()) is None
    assert find_corpus(parse("--corpus", str(tmp_path))) == tmp_path
    options = ["--shared_dir", str(shared)]
    assert find_corpus(parse(*options, shared="x")) is None
    shared.mkdir()
    assert find_corpus(parse(*options, shared="x")) == shared
    both = [*options, "--corpus", str(tmp_path)]
    assert find_corpus(parse(*both, shared="x")) == tmp_path
    with pytest.raises(InputError, match="--corpus none: no such folder"):
        find_corpus(parse("--corpus", "none"))
    with pytest.raises(SystemExit):
        parse(download=False)
