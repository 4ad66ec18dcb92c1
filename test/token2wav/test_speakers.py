"""Speaker embeddings of a set: read, or the fault is named."""

import numpy as np
import pytest

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.speakers import read_embeddings


@pytest.fixture
def scp(tmp_path):
    """xvector.scp of three utterances."""
    rows = {utt: np.arange(4) + i / 3 for i, utt in enumerate("abc")}
    ark = tmp_path / "xvector.ark"
    offsets = write_ark(ark, rows, np.float32)
    path = tmp_path / "xvector.scp"
    path.write_text("".join(f"{utt} {ark}:{at}\n" for utt, at in offsets.items()))
    return path


def test_those_asked_for_are_read(scp):
    found = read_embeddings(scp, "ca")
    assert list(found) == ["c", "a"]
    np.testing.assert_allclose(found["c"].numpy(), np.arange(4) + 2 / 3, rtol=1e-6)


@pytest.mark.parametrize(
    "rows, culprit",
    [
        (np.ones((1, 4), np.float32), "b: .* is no vector of finite numbers"),
        (np.array([1, np.nan], np.float32), "b: .* is no vector of finite numbers"),
        (np.ones(4, np.int32), "b: .* is no vector of finite numbers"),
        ("pickle", "b: .*no binary array of Kaldi's is there"),
        (np.ones(3, np.float32), "b: .* has 3 numbers, not 4 as those before it"),
        ("cut", "b: b.ark:2 cannot be read .*numbers follow, which are not there"),
        ("none.ark:2", "b: none.ark:2 cannot be read"),
        ("touch ran |", "b: touch ran . cannot be read .a command; run it"),
        (None, "utterance b is missing"),
    ],
)
def test_faults_are_named(scp, tmp_path, monkeypatch, rows, culprit):
    monkeypatch.chdir(tmp_path)
    lines = scp.read_text().splitlines()
    entry = rows
    if isinstance(rows, np.ndarray):
        (at,) = write_ark("b.ark", {"b": rows}, rows.dtype).values()
        entry = f"b.ark:{at}"
    elif rows == "cut":
        content = (tmp_path / "xvector.ark").read_bytes()
        (tmp_path / "b.ark").write_bytes(content[:12])
        entry = "b.ark:2"
    elif rows == "pickle":
        # Would make the directory `ran` if it were unpickled.
        (tmp_path / "b.ark").write_bytes(b"b PKL cos\nmkdir\n(S'ran'\ntR.")
        entry = "b.ark:2"
    lines[1:2] = [] if entry is None else [f"b {entry}"]
    scp.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=culprit) as e:
        read_embeddings(scp, "ab")
    assert "\n" not in str(e.value) and not (tmp_path / "ran").exists()
    assert list(read_embeddings(scp, "ac")) == ["a", "c"]
