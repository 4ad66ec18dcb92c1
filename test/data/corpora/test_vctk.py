"""VCTK 0.92 in miniature: speakers without texts, without a microphone, named s5."""

import pytest

from espnet_fsqdiff.bin import prepare_corpus
from espnet_fsqdiff.data.datadir import DataDir, read_table
from espnet_fsqdiff.errors import InputError

SPEAKERS = ("p225", "p226", "p280", "p315", "p362", "s5")
NUMBERS = ("001", "002", "003")
INFO = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p280  25  F    Unknown    France (mic2 files unavailable)
p315  18  M    American   New England (Text and mic2 files unavailable)
s5    18  F    British
"""


@pytest.fixture
def corpus(tmp_path, record, put):
    root = tmp_path / "VCTK-Corpus-0.92"
    put(root / "speaker-info.txt", INFO)
    put(root / "wav48_silence_trimmed/log.txt", "trimmed\n")
    for speaker in SPEAKERS:
        for number, name in enumerate(NUMBERS):
            stem = f"{speaker}/{speaker}_{name}"
            mics = ("mic1",) if speaker in ("p280", "p315") else ("mic1", "mic2")
            for mic in mics:
                record(root / f"wav48_silence_trimmed/{stem}_{mic}.flac", 48000, number)
            if speaker != "p315":
                put(root / f"txt/{stem}.txt", f'"Say"  {speaker} {name}.\n')
    return root


@pytest.fixture(autouse=True)
def lists(recipe, put):
    put(recipe / "local/valid.list", "p226\n")
    put(recipe / "local/test.list", "p225\ns5\n")


def prepare(corpus, *options):
    prepare_corpus.main(["vctk", "--corpus", str(corpus), *options])


def test_sets_by_speaker(corpus, caplog):
    with caplog.at_level("INFO"):
        prepare(corpus)
    train, valid, test = (DataDir.read(f"data/{n}") for n in ("train", "valid", "test"))
    assert set(train.utt2spk.values()) == {"p280", "p362"}
    assert set(valid.utt2spk.values()) == {"p226"}
    assert read_table("data/test/spk2utt") == {
        "p225": "p225_001 p225_002 p225_003",
        "s5": "s5_001 s5_002 s5_003",
    }
    assert test.text["s5_002"] == '"Say" s5 002.'
    assert test.wav["p225_001"].endswith("p225_001_mic2.flac")
    # What is not there, and what is done about it, is said.
    assert train.wav["p280_001"].endswith("p280_001_mic1.flac")
    assert "p315 has no transcripts" in caplog.text
    assert "p280 has no recording of mic2: mic1 is used" in caplog.text


def test_the_other_microphone(corpus):
    prepare(corpus, "--mic", "mic1")
    names = [
        w for n in ("train", "test") for w in DataDir.read(f"data/{n}").wav.values()
    ]
    assert len(names) == 12 and all(name.endswith("_mic1.flac") for name in names)


def test_prompts_are_of_the_same_speaker(corpus):
    prepare(corpus)
    test = DataDir.read("data/test")
    wavs, texts = (
        read_table(f"data/test/prompt_{name}") for name in ("wav.scp", "text")
    )
    assert list(wavs) == list(texts) == list(test.wav)
    back = {wav: utt for utt, wav in test.wav.items()}
    for utt, wav in wavs.items():
        assert back[wav] != utt
        assert test.utt2spk[back[wav]] == test.utt2spk[utt]
        assert texts[utt] == test.text[back[wav]]


def test_a_missing_file_leaves_the_utterance_out(corpus, put, caplog):
    for number in range(4, 24):
        for speaker in ("p225", "p226"):
            stem = f"{speaker}/{speaker}_{number:03d}"
            put(corpus / f"txt/{stem}.txt", "again\n")
            (corpus / f"wav48_silence_trimmed/{stem}_mic2.flac").symlink_to(
                corpus / "wav48_silence_trimmed/p225/p225_001_mic2.flac"
            )
    (corpus / "wav48_silence_trimmed/p362/p362_002_mic2.flac").unlink()
    (corpus / "txt/p362/p362_003.txt").unlink()
    prepare(corpus)
    assert "p362_001" in DataDir.read("data/train").wav
    assert not {"p362_002", "p362_003"} & set(DataDir.read("data/train").wav)
    assert "2 of 55 utterances lack a file" in caplog.text


def test_many_missing_files_are_an_error(corpus):
    (corpus / "wav48_silence_trimmed/p362/p362_002_mic2.flac").unlink()
    with pytest.raises(InputError, match="1 of 15 .* first .*p362_002_mic2.flac"):
        prepare(corpus)


def test_faults(corpus, recipe, put):
    put(recipe / "local/test.list", "p226\n")
    with pytest.raises(InputError, match="p226 is in both lists"):
        prepare(corpus)
    put(recipe / "local/test.list", "p315\n")
    with pytest.raises(InputError, match="p315 of the lists is not in the corpus"):
        prepare(corpus)
    (recipe / "local/test.list").unlink()
    with pytest.raises(InputError, match="test.list: no such list"):
        prepare(corpus)
    (corpus / "wav48_silence_trimmed").rename(corpus / "wav48")
    with pytest.raises(InputError, match="no wav48_silence_trimmed"):
        prepare(corpus)
