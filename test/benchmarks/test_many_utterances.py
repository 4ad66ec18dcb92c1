"""Splits hold every utterance once; the memory they take is not tested."""

import re

from benchmarks import many_utterances
from espnet_fsqdiff.token_io import read_tokens


def test_shards_hold_what_their_tables_say(tmp_path):
    many_utterances.write_corpus(tmp_path, utterances=25, shard_size=10)
    assert len(list(tmp_path.glob("*.ark"))) == 3
    tokens = read_tokens(tmp_path / "tokens.scp", num_codes=6561)
    lengths = (tmp_path / "utt2num_tokens").read_text().splitlines()
    assert [f"{utt} {len(x)}" for utt, x in tokens.items()] == lengths
    assert len(lengths) == 25


def test_an_epoch_is_read_whole_and_in_splits(capsys):
    words = ["--utterances", "60", "--shard_size", "20", "--splits", "1", "3"]
    many_utterances.main([*words, "--batch_bins", "300"])
    rows = [re.findall(r"\d+", line) for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows[2:]] == [["1", "60"], ["3", "60"]]
    assert all(int(row[2]) > 6 for row in rows[2:])
