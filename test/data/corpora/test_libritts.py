"""LibriTTS in miniature, and the zero-shot pairs of LibriSpeech."""

import tarfile
from pathlib import Path

import pytest

from espnet_fsqdiff.bin import prepare_corpus
from espnet_fsqdiff.data.corpora import libritts
from espnet_fsqdiff.data.corpora.fetching import Source
from espnet_fsqdiff.data.corpora.librispeech import read_pairs
from espnet_fsqdiff.data.datadir import DataDir, read_table
from espnet_fsqdiff.errors import InputError

SUBSETS = {"train-clean-100": "103", "train-clean-360": "14", "dev-clean": "84"}
SHARED = Path(__file__).parents[4] / "shared/texts"


@pytest.fixture
def corpus(tmp_path, record, put):
    root = tmp_path / "LibriTTS"
    put(root / "SPEAKERS.txt", "; a table\n")
    for subset, reader in {**SUBSETS, "test-clean": "61"}.items():
        for number in range(2):
            stem = f"{subset}/{reader}/1240/{reader}_1240_00000{number}_000000"
            record(root / f"{stem}.wav", 24000, number)
            put(root / f"{stem}.original.txt", "It was 1870.")
            put(root / f"{stem}.normalized.txt", "It was eighteen seventy.\n")
        put(root / f"{subset}/{reader}/1240/{reader}_1240.trans.tsv", "not read\n")
    return root


@pytest.fixture
def librispeech(tmp_path, record):
    root = tmp_path / "LibriSpeech/test-clean"
    for number in range(3):
        record(root / f"61/70968/61-70968-000{number}.flac", 16000, number)
    return root


def prepare(corpus, *options):
    prepare_corpus.main(["libritts", "--corpus", str(corpus), *options])


@pytest.mark.parametrize("where", [".", ".."])
def test_sets_are_the_published_ones(recipe, corpus, where):
    prepare(corpus / where)
    train, valid, test = (DataDir.read(f"data/{n}") for n in ("train", "valid", "test"))
    assert list(train.wav) == [
        f"{reader}_1240_00000{n}_000000" for reader in ("103", "14") for n in range(2)
    ]
    assert set(train.text.values()) == {"It was eighteen seventy."}
    assert set(valid.utt2spk.values()) == {"84"}
    assert read_table("data/test/prompt_wav.scp") == {
        f"61_1240_00000{n}_000000": test.wav[f"61_1240_00000{1 - n}_000000"]
        for n in range(2)
    }
    assert not Path("data/librispeech_pc").exists()


def test_subsets_can_be_chosen(recipe, corpus):
    prepare(corpus, "--train_subsets", "train-clean-360")
    assert set(DataDir.read("data/train").utt2spk.values()) == {"14"}
    with pytest.raises(InputError, match="no train-other-500 in it"):
        prepare(corpus, "--train_subsets", "train-other-500")


def test_faults(recipe, corpus):
    stem = corpus / "dev-clean/84/1240/84_1240_000001_000000"
    text = stem.with_name(stem.name + ".normalized.txt")
    text.rename(recipe / "aside")
    with pytest.raises(InputError, match="84_1240_000001_000000: no .*normalized.txt"):
        prepare(corpus)
    (recipe / "aside").rename(text)
    stem.with_suffix(".wav").unlink()
    with pytest.raises(InputError, match="84_1240_000001_000000: no .*wav beside"):
        prepare(corpus)


LINES = [
    '61-70968-0000\t4.4\tA prompt.\t61-70968-0001\t4.0\tWhy so"? asked he.',
    "61-70968-0002\t3.9\tAnother.\t61-70968-0000\t4.4\tA prompt.",
]


@pytest.mark.parametrize("where", [".", "..", "../.."])
def test_zero_shot_pairs(recipe, corpus, librispeech, put, where):
    put(recipe / "pairs.tsv", "\n".join(LINES) + "\n")
    options = ["--librispeech", str(librispeech / where), "--pairs", "pairs.tsv"]
    prepare(corpus, *options)
    data = DataDir.read("data/librispeech_pc")
    assert list(data.wav) == ["61-70968-0000", "61-70968-0001"]
    assert data.text["61-70968-0001"] == 'Why so"? asked he.'
    assert data.utt2spk["61-70968-0000"] == "61"
    assert read_table("data/librispeech_pc/prompt_text") == {
        "61-70968-0000": "Another.",
        "61-70968-0001": "A prompt.",
    }
    wavs = read_table("data/librispeech_pc/prompt_wav.scp")
    assert Path(wavs["61-70968-0000"]).name == "61-70968-0002.flac"


def test_downloads(recipe, corpus, librispeech, put, monkeypatch):
    for folder, archives in (
        (corpus, libritts.ARCHIVES),
        (librispeech.parent, libritts.librispeech.ARCHIVES),
    ):
        for subset in (path for path in folder.iterdir() if path.is_dir()):
            archive = folder.parent / f"{folder.name}_{subset.name}.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                tar.add(subset, f"{folder.name}/{subset.name}")
            monkeypatch.setitem(archives, subset.name, Source(archive.as_uri()))
    put(recipe / "pairs.tsv", "\n".join(LINES) + "\n")
    options = ["--librispeech", "download", "--pairs", "pairs.tsv"]
    prepare_corpus.main(["libritts", *options])
    sizes = [
        len(DataDir.read(f"data/{n}")) for n in ("train", "test", "librispeech_pc")
    ]
    assert sizes == [4, 2, 2]


@pytest.mark.parametrize(
    "line, error",
    [
        ("61-70968-0000\t4.4\tshort", "pairs.tsv:3: not prompt id"),
        ("no id\t1\ta\t61-70968-0002\t1\tb", "pairs.tsv:3: not prompt id"),
        (LINES[0], "pairs.tsv:3: target 61-70968-0001 is there twice"),
        ("61-70968-0009\t1\ta\t61-70968-0002\t1\tb", "61-70968-0009: no audio file"),
        ("61-70968-0000\t1\ta\t61-70968-0008\t1\tb", "61-70968-0008: no audio file"),
    ],
)
def test_faults_of_the_pairs(recipe, corpus, librispeech, put, line, error):
    put(recipe / "pairs.tsv", "\n".join([*LINES, line]) + "\n")
    options = ["--librispeech", str(librispeech), "--pairs", "pairs.tsv"]
    with pytest.raises(InputError, match=error):
        prepare(corpus, *options)


def test_missing_list_or_subset(recipe, corpus, librispeech, put):
    put(recipe / "pairs.tsv", "\n".join(LINES) + "\n")
    with pytest.raises(InputError, match="nowhere: no such list of pairs"):
        prepare(corpus, "--librispeech", str(librispeech), "--pairs", "nowhere")
    with pytest.raises(InputError, match="no test-clean of LibriSpeech"):
        prepare(corpus, "--librispeech", str(recipe), "--pairs", "pairs.tsv")


def test_the_published_list(tmp_path):
    path = SHARED / "librispeech_pc_test_clean_cross_sentence.tsv"
    if not path.is_file():
        pytest.skip("the list is not here")
    pairs = read_pairs(path, tmp_path)
    assert len(pairs) == 1127
    for target, prompt in pairs:
        assert target.speaker == prompt.speaker and target.utt != prompt.utt
        assert target.text and prompt.text
