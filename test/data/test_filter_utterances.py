import pytest

from espnet_fsqdiff.bin.filter_utterances import main
from espnet_fsqdiff.data.datadir import DataDir, read_num_samples, write_table
from espnet_fsqdiff.errors import InputError

# Seconds and text; the text of `crammed` fits 25 frames a second no more.
UTTS = {
    "good": (2.0, "hello world"),
    "long": (30.0, "hello"),
    "short": (0.05, "a"),
    "crammed": (1.0, "x" * 24),
    "just_fits": (1.0, "x" * 23),
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"")
    data = DataDir({}, {}, {})
    for utt, (_, text) in UTTS.items():
        data.wav[utt], data.text[utt], data.utt2spk[utt] = "a.wav", text, "s"
    data.write("dump/raw/org/train")
    write_table(
        "dump/raw/org/train/utt2num_samples",
        {utt: int(16000 * seconds) for utt, (seconds, _) in UTTS.items()},
    )
    return tmp_path


def test_drops_and_says_why(recipe, caplog):
    with caplog.at_level("INFO"):
        main(["--sets", "train"])
    out = DataDir.read("dump/raw/train")
    assert list(out.wav) == ["good", "just_fits"]
    # The same audio is named, not a copy of it.
    assert set(out.wav.values()) == {"a.wav"}
    assert set(read_num_samples("dump/raw/train/utt2num_samples")) == set(out.wav)
    said = caplog.text
    assert "long dropped: 30.00 s is above --max_wav_duration" in said
    assert "short dropped: 0.05 s is below --min_wav_duration" in said
    assert "crammed dropped: 26 text tokens" in said and "25 frames" in said
    assert "2 of 5 utterances stay" in said


def test_those_that_stay_keep_their_prompts(recipe):
    data = DataDir.read("dump/raw/org/train")
    data.prompt_wav = {utt: "a.wav" for utt in data}
    data.prompt_text = {utt: f"before {utt}" for utt in data}
    data.write("dump/raw/org/train")
    main(["--sets", "train"])
    out = DataDir.read("dump/raw/train")
    assert out.prompt_wav == {"good": "a.wav", "just_fits": "a.wav"}
    assert out.prompt_text == {"good": "before good", "just_fits": "before just_fits"}


def test_limits_are_options(recipe):
    main(["--sets", "train", "--max_wav_duration", "40", "--token_rate", "50"])
    assert sorted(DataDir.read("dump/raw/train").wav) == [
        "crammed",
        "good",
        "just_fits",
        "long",
    ]


def test_nothing_left_is_an_error(recipe):
    with pytest.raises(InputError, match="all 5 utterances"):
        main(["--sets", "train", "--max_wav_duration", "0.01"])


def test_lengths_of_other_utterances(recipe):
    write_table("dump/raw/org/train/utt2num_samples", {"good": 32000})
    with pytest.raises(InputError, match="utt2num_samples: utterance crammed"):
        main(["--sets", "train"])
