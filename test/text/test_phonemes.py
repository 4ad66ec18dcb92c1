"""Joining stress and length marks to phonemes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.text.phonemes import join_marks


def test_marks_go_to_their_phoneme():
    cut = ["m", "ˈ", "o", "ː", "ɹ", "<space>", "b", "n̩", "l", "̩", "."]
    assert join_marks(cut) == ["m", "ˈoː", "ɹ", "<space>", "b", "n̩", "l̩", "."]


def test_marks_without_a_phoneme_stay_alone():
    assert join_marks(["ː", "a"]) == ["ː", "a"]
    assert join_marks(["a", "ˈ"]) == ["a", "ˈ"]
    assert join_marks(["ˈ", "<space>", "a"]) == ["ˈ", "<space>", "a"]
    assert join_marks([".", "ː"]) == [".", "ː"]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(["a", "t", "ˈ", "ˌ", "ː", "̩", "<space>", "."])))
def test_nothing_is_lost_and_joining_twice_changes_nothing(symbols):
    joined = join_marks(symbols)
    assert "".join(joined) == "".join(symbols)
    assert join_marks(joined) == joined
