"""LJSpeech in miniature: eight clips, with the oddities of metadata.csv."""

import tarfile

import pytest

from espnet_fsqdiff.bin import prepare_corpus
from espnet_fsqdiff.data.corpora import ljspeech
from espnet_fsqdiff.data.corpora.fetching import Source
from espnet_fsqdiff.data.datadir import DataDir, read_table
from espnet_fsqdiff.errors import InputError

ROWS = [
    'LJ001-0001|He said "no, in 1455|He said "no, in fourteen fifty-five',
    "LJ001-0002|the \u201craison d'\u00eatre\u201d|the \u201craison d'\u00eatre\u201d",
    "LJ001-0003|good  morning |good  morning ",
    "LJ001-0004|no third column here|",
    'LJ001-0005|"quoted"|"quoted"',
    "LJ002-0001|five|five",
    "LJ002-0002|six|six",
    "LJ002-0003|seven|seven",
]


@pytest.fixture
def corpus(tmp_path, record, put):
    root = tmp_path / "LJSpeech-1.1"
    put(root / "metadata.csv", "\n".join(ROWS) + "\n")
    for number, row in enumerate(ROWS):
        record(root / f"wavs/{row.split('|')[0]}.wav", 22050, number)
    return root


def prepare(*options):
    sizes = ["--num_valid", "1", "--num_test", "2"]
    prepare_corpus.main(["ljspeech", *sizes, *options])


@pytest.mark.parametrize("where", ["LJSpeech-1.1", "."])
def test_sets_and_texts(recipe, corpus, where):
    prepare("--corpus", str(corpus.parent / where))
    sets = {name: DataDir.read(f"data/{name}") for name in ("train", "valid", "test")}
    assert list(sets["test"].wav) == ["LJ002-0002", "LJ002-0003"]
    assert list(sets["valid"].wav) == ["LJ002-0001"]
    text = sets["train"].text
    assert text["LJ001-0001"] == 'He said "no, in fourteen fifty-five'
    assert text["LJ001-0002"] == "the \u201craison d'\u00eatre\u201d"
    assert text["LJ001-0003"] == "good morning"
    assert text["LJ001-0004"] == "no third column here"
    assert text["LJ001-0005"] == '"quoted"'
    assert set(sets["train"].utt2spk.values()) == {"LJ"}
    assert read_table("data/valid/spk2utt") == {"LJ": "LJ002-0001"}


@pytest.mark.parametrize(
    "row, error",
    [
        ("LJ002-0004|two columns", "metadata.csv:9: 2 columns"),
        ("LJ002-0004|a | too|many", "metadata.csv:9: 4 columns"),
        ("LJ001-0001|again|again", "metadata.csv:9: LJ001-0001 is there twice"),
        ("LJ002-0004|no file|no file", "LJ002-0004: no audio file"),
        ("LJ002-0003x| | ", "LJ002-0003x: it has no text"),
    ],
)
def test_faults_of_the_metadata(recipe, corpus, row, error):
    with open(corpus / "metadata.csv", "a") as f:
        f.write(row + "\n")
    with pytest.raises(InputError, match=error):
        prepare("--corpus", str(corpus))
    assert not (recipe / "data").exists()


def test_faults_of_the_audio(recipe, corpus, record):
    wav = corpus / "wavs/LJ001-0002.wav"
    record(wav, 16000)
    with pytest.raises(InputError, match="LJ001-0002: .* 16000 Hz.*--rate 16000"):
        prepare("--corpus", str(corpus))
    wav.write_bytes(wav.read_bytes()[:20])
    with pytest.raises(InputError, match="LJ001-0002: .*damaged"):
        prepare("--corpus", str(corpus))


def test_other_faults(recipe, corpus):
    with pytest.raises(InputError, match="8 clips cannot give 4"):
        prepare("--corpus", str(corpus), "--num_valid", "4", "--num_test", "4")
    with pytest.raises(InputError, match="--corpus nowhere: no such folder"):
        prepare("--corpus", "nowhere")
    with pytest.raises(InputError, match="no metadata.csv in it"):
        prepare("--corpus", str(recipe))
    (corpus / "metadata.csv").write_bytes(b"LJ001-0001|caf\xe9|caf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        prepare("--corpus", str(corpus))


def test_download(recipe, corpus, monkeypatch):
    archive = corpus.parent / "LJSpeech-1.1.tar.bz2"
    with tarfile.open(archive, "w:bz2") as tar:
        tar.add(corpus, corpus.name)
    monkeypatch.setattr(ljspeech, "ARCHIVE", Source(archive.as_uri()))
    prepare()
    assert len(DataDir.read("data/train")) == 5
    # It is there now, and needed no more.
    archive.unlink()
    (recipe / "downloads" / archive.name).unlink()
    prepare()
