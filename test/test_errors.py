"""The one-line error."""

import pickle

import pytest

from espnet_fsqdiff.errors import MAX_CHARS, InputError


@pytest.mark.parametrize(
    "given, kept",
    [
        ("a.txt: no such file; correct it", "a.txt: no such file; correct it"),
        ("caf\u00e9 \u4f60\u597d \U0001f600", "caf\u00e9 \u4f60\u597d \U0001f600"),
        ("two\nlines\r\n", "two\\nlines"),
        ("x \u2028 and \x85 end lines too", "x \\u2028 and \\x85 end lines too"),
        (
            "\x1b[2J clears screens, \u202e turns",
            "\\x1b[2J clears screens, \\u202e turns",
        ),
        ("half a pair: \ud800", "half a pair: \\ud800"),
    ],
)
def test_a_message_is_one_line_that_can_be_shown(given, kept):
    assert str(InputError(given)) == kept


def test_a_long_message_keeps_its_ends():
    message = str(InputError("utt1: " + "x" * 10**6 + "; correct it"))
    assert len(message) < MAX_CHARS + 20
    assert message.startswith("utt1: x") and message.endswith("x; correct it")


def test_it_passes_between_processes():
    error = pickle.loads(pickle.dumps(InputError("utt1: a\nb")))
    assert type(error) is InputError and str(error) == "utt1: a\\nb"
