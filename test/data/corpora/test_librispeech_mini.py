"""Both layouts of librispeech_mini give the same sets."""

import tarfile
from pathlib import Path

import pytest

from espnet_fsqdiff.bin import prepare_corpus
from espnet_fsqdiff.data.corpora import librispeech_mini
from espnet_fsqdiff.data.corpora.fetching import Source
from espnet_fsqdiff.data.datadir import DataDir, read_table
from espnet_fsqdiff.errors import InputError

READERS = ("1688", "367")
UTTS = [f"{reader}-142285-000{n}" for reader in READERS for n in range(4)]
RECIPE = Path(__file__).parents[3] / "egs/librispeech_mini/tts1"


@pytest.fixture
def mini(tmp_path, record, put):
    root = tmp_path / "librispeech_mini"
    lines = ["id\tpath\tspeaker\tgender\tseconds\ttext"]
    for number, utt in enumerate(UTTS):
        record(root / f"flac/{utt}.flac", 16000, number)
        reader = utt.split("-")[0]
        lines.append(f"{utt}\tflac/{utt}.flac\t{reader}\tM\t1.0\tthe text of {number}")
    put(root / "metadata.tsv", "\n".join(lines) + "\n")
    return root


@pytest.fixture
def published(tmp_path, record, put):
    root = tmp_path / "LibriSpeech/test-other"
    for reader in READERS:
        texts = []
        for n in range(6):  # two more than the list has
            utt = f"{reader}-142285-000{n}"
            record(root / f"{reader}/142285/{utt}.flac", 16000, n)
            number = UTTS.index(utt) if utt in UTTS else "another"
            texts.append(f"{utt} THE TEXT OF {number}\n")
        put(root / f"{reader}/142285/{reader}-142285.trans.txt", "".join(texts))
    return root


def prepare(corpus):
    prepare_corpus.main(["librispeech_mini", "--corpus", str(corpus)])


@pytest.mark.parametrize("layout", ["mini", "published"])
def test_layouts(recipe, layout, put, request):
    put(recipe / "local/utterances.list", "\n".join(UTTS) + "\n")
    prepare(request.getfixturevalue(layout))
    train, valid, test = (DataDir.read(f"data/{n}") for n in ("train", "valid", "test"))
    assert list(train.wav) == [u for u in UTTS if u[-1] in "01"]
    assert list(valid.wav) == [u for u in UTTS if u[-1] == "2"]
    assert list(test.wav) == [u for u in UTTS if u[-1] == "3"]
    assert test.text["367-142285-0003"] == "the text of 7"
    prompts = read_table("data/test/prompt_wav.scp")
    assert {k: Path(v).name.split("-")[0] for k, v in prompts.items()} == {
        "1688-142285-0003": "1688",
        "367-142285-0003": "367",
    }


def test_download(recipe, published, put, monkeypatch):
    put(recipe / "local/utterances.list", "\n".join(UTTS) + "\n")
    archive = published.parents[1] / "test-other.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(published, "LibriSpeech/test-other")
    monkeypatch.setitem(
        librispeech_mini.ARCHIVES, "test-other", Source(archive.as_uri())
    )
    prepare_corpus.main(["librispeech_mini", "--shared_dir", "none"])
    assert len(DataDir.read("data/train")) == 4


def test_faults(recipe, mini, published, put):
    put(recipe / "local/utterances.list", UTTS[0] + "\n1688-142285-0009\n")
    with pytest.raises(InputError, match="1688-142285-0009: no transcript"):
        prepare(published)
    put(recipe / "local/utterances.list", "\n".join(UTTS[:2]) + "\n")
    with pytest.raises(InputError, match="1688 has 2 utterances; three are needed"):
        prepare(published)
    put(mini / "metadata.tsv", "id\tpath\ttext\n")
    with pytest.raises(InputError, match="no column speaker"):
        prepare(mini)


def test_list_of_the_recipe():
    utts = (RECIPE / "local/utterances.list").read_text().split()
    assert len(utts) == len(set(utts)) == 80
    assert len({u.split("-")[0] for u in utts}) == 8
    shared = RECIPE / "../../../../shared/corpora/librispeech_mini/metadata.tsv"
    if shared.is_file():
        rows = shared.read_text(encoding="utf-8").splitlines()[1:]
        assert utts == [row.split("\t")[0] for row in rows]
