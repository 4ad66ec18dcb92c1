import math

import kaldiio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token_io import (
    count_codes,
    read_counts,
    read_int_table,
    read_tokens,
    token_stats,
    write_counts,
    write_int_table,
)

TOKENS = {"a": np.array([0, 6560, 3]), "b": np.array([7]), "c-1": np.arange(500)}


def write_scp(tmp_path, tokens=TOKENS):
    offsets = write_ark(tmp_path / "tokens.1.ark", tokens)
    lines = [f"{utt} {tmp_path}/tokens.1.ark:{o}\n" for utt, o in offsets.items()]
    (tmp_path / "tokens.scp").write_text("".join(lines))
    return tmp_path / "tokens.scp"


def test_ark_scp_and_text_hold_the_same(tmp_path):
    scp = write_scp(tmp_path)
    write_int_table(tmp_path / "tokens.txt", TOKENS)
    assert (tmp_path / "tokens.txt").read_text().startswith("a 0 6560 3\nb 7\n")
    from_kaldiio = dict(kaldiio.load_ark(str(tmp_path / "tokens.1.ark")))
    for path in (scp, tmp_path / "tokens.txt"):
        tokens = read_tokens(path, num_codes=6561)
        assert list(tokens) == list(TOKENS)
        for utt, array in tokens.items():
            assert array.dtype == np.int64
            np.testing.assert_array_equal(array, TOKENS[utt])
            assert from_kaldiio[utt].dtype == np.int32
            np.testing.assert_array_equal(from_kaldiio[utt], array)
    assert not list(tmp_path.glob("*.tmp.*"))


@pytest.mark.parametrize("bad", [6561, -1])
def test_token_outside_the_codebook(tmp_path, bad):
    scp = write_scp(tmp_path, {"good": np.array([1]), "utt9": np.array([1, bad])})
    message = f"utt9: token {bad} is outside the codebook of 6561 codes"
    with pytest.raises(InputError, match=message):
        read_tokens(scp, num_codes=6561)


def test_damage_is_named(tmp_path):
    scp = write_scp(tmp_path)
    ark = tmp_path / "tokens.1.ark"
    ark.write_bytes(ark.read_bytes()[:-100])
    with pytest.raises(InputError, match="c-1: .* is damaged"):
        read_tokens(scp)
    ark.unlink()
    with pytest.raises(InputError, match="a: no archive"):
        read_tokens(scp)
    (tmp_path / "tokens.txt").write_text("a 1 2\nb 1 x\n")
    with pytest.raises(InputError, match="tokens.txt: b: not a row of whole numbers"):
        read_tokens(tmp_path / "tokens.txt")
    with pytest.raises(InputError, match="no such file"):
        read_int_table(tmp_path / "durations.txt")


def test_counts(tmp_path):
    counts = count_codes([np.array([0, 0, 3]), np.array([3, 1])], 5)
    assert counts.tolist() == [2, 1, 0, 2, 0]
    write_counts(tmp_path / "counts.txt", counts)
    assert (tmp_path / "counts.txt").read_text().splitlines()[3] == "3 2"
    assert read_counts(tmp_path / "counts.txt").tolist() == counts.tolist()
    for text in ("0 1\n2 1\n", "0 -1\n", "0 x\n", "0\n"):
        (tmp_path / "counts.txt").write_text(text)
        with pytest.raises(InputError, match="counts.txt: not lines"):
            read_counts(tmp_path / "counts.txt")


def test_stats_of_uniform_codes():
    stats = token_stats(np.full(6561, 2), num_utts=3, rate_hz=25.0)
    assert stats["num_tokens"] == 13122 and stats["num_utts"] == 3
    assert stats["used_codes"] == stats["codebook_size"] == 6561
    assert stats["perplexity"] == pytest.approx(6561)
    assert stats["bits_per_second"] == pytest.approx(25 * 8 * math.log2(3))
    assert stats["entropy_bits_per_second"] == pytest.approx(25 * 8 * math.log2(3))


def test_stats_of_one_code():
    stats = token_stats(np.array([0, 9, 0]), num_utts=1, rate_hz=50.0)
    assert stats["used_codes"] == 1 and stats["utilisation"] == pytest.approx(1 / 3)
    assert stats["perplexity"] == 1.0
    assert stats["entropy_bits_per_second"] == 0.0


@given(st.lists(st.integers(0, 50), min_size=2, max_size=30))
def test_stats_in_bounds(counts):
    stats = token_stats(np.array(counts), num_utts=1, rate_hz=25.0)
    used = max(1, stats["used_codes"])
    assert 1 <= stats["perplexity"] <= used * (1 + 1e-9)
    assert stats["entropy_bits_per_second"] <= stats["bits_per_second"] + 1e-9


def test_an_archive_runs_nothing(tmp_path):
    scp = write_scp(tmp_path)
    made = tmp_path / "made"
    pickled = b"PKLcos\nmkdir\n(S'" + str(made).encode() + b"'\ntR."
    (tmp_path / "x.ark").write_bytes(pickled)
    entries = (f"{tmp_path}/x.ark:0", f"mkdir {made} |", f"|mkdir {made}", "-", "-:0")
    for entry in entries:
        scp.write_text(f"a {entry}\n")
        with pytest.raises(InputError, match="a: .*(damaged|no archive)"):
            read_tokens(scp)
        assert not made.exists()


@pytest.mark.parametrize("size", [-1, 3, 2**31 - 1])
def test_an_archive_of_another_length_than_it_says(size, tmp_path):
    row = b"".join(b"\4" + i.to_bytes(4, "little") for i in (5, 6))
    head = b"\0B\4" + size.to_bytes(4, "little", signed=True)
    (tmp_path / "x.ark").write_bytes(head + row)
    (tmp_path / "a.scp").write_text(f"a {tmp_path}/x.ark:0\n")
    with pytest.raises(InputError, match=f"{size} numbers follow, which are not there"):
        read_tokens(tmp_path / "a.scp")


@pytest.mark.parametrize("offset", ["", "-1", "1", "x", "1.0", "9" * 30, "0[0:1]"])
def test_odd_offsets(offset, tmp_path):
    write_ark(tmp_path / "x.ark", {"a": np.arange(3)})
    (tmp_path / "a.scp").write_text(f"a {tmp_path}/x.ark:{offset}\n")
    with pytest.raises(InputError, match="a.scp: a: .*(damaged|no archive)"):
        read_tokens(tmp_path / "a.scp")


def test_counts_of_odd_bytes(tmp_path):
    for content in (b"\xff\n", b"0 " + b"9" * 30 + b"\n", b"0 " + b"9" * 5000):
        (tmp_path / "counts.txt").write_bytes(content)
        with pytest.raises(InputError, match="counts.txt: not lines"):
            read_counts(tmp_path / "counts.txt")
