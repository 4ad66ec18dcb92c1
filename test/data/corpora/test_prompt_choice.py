"""The rule by which prompts are chosen, and the files that name them."""

from pathlib import Path

import pytest

from espnet_fsqdiff.data.corpora.prompts import choose_prompts, write_prompts
from espnet_fsqdiff.data.corpora.utterances import Utterance
from espnet_fsqdiff.data.datadir import read_table
from espnet_fsqdiff.errors import InputError


def speaker(name, *seconds):
    """Utterances of these lengths, and the lengths by id."""
    utterances = [
        Utterance(f"{name}_{n}", Path(f"{name}_{n}.wav"), f"text {n}", name)
        for n in range(len(seconds))
    ]
    return utterances, {u.utt: s for u, s in zip(utterances, seconds)}


@pytest.mark.parametrize(
    "seconds, prompts",
    [
        ((4, 5, 6), [1, 2, 0]),  # the next, and from the first again
        ((4, 2, 6, 11), [2, 2, 0, 0]),  # 3 to 10 s alone
        ((2, 1, 2.5), [2, 2, 0]),  # else the longest of the short
        ((11, 2, 14, 12), [1, 0, 1, 1]),  # else, or for the short one, the shortest
        ((3, 10), [1, 0]),
    ],
)
def test_rule(seconds, prompts):
    own, lengths = speaker("a", *seconds)
    others, other_lengths = speaker("b", 5, 5)
    chosen = choose_prompts(
        own, [*reversed(own), *others], {**lengths, **other_lengths}
    )
    assert [chosen[u.utt].utt for u in own] == [f"a_{n}" for n in prompts]


def test_a_speaker_with_one_utterance():
    own, lengths = speaker("a", 5)
    with pytest.raises(InputError, match="a_0: speaker a has no other utterance"):
        choose_prompts(own, own, lengths)


def test_files(tmp_path):
    own, lengths = speaker("a", 5, 5)
    write_prompts(tmp_path, choose_prompts(own, own, lengths))
    assert read_table(tmp_path / "prompt_text") == {"a_0": "text 1", "a_1": "text 0"}
    assert read_table(tmp_path / "prompt_wav.scp")["a_0"] == "a_1.wav"
