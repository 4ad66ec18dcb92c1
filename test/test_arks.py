"""Kaldi archives: what is written is read, and nothing else is done with a file."""

import kaldiio
import numpy as np
import pytest

from espnet_fsqdiff.arks import ArkReader, read_ark_entry, write_ark

ARRAYS = {
    "tokens": np.array([3, -1, 2**31 - 1], np.int32),
    "vector": np.array([0.5, -np.inf, 3e-8], np.float32),
    "double": np.array([0.1, 1e300]),
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "doubles": np.arange(6.0).reshape(3, 2),
    "none": np.zeros(0, np.int32),
    "no_rows": np.zeros((0, 4), np.float32),
}


def write(path, array):
    """Its scp entry."""
    (at,) = write_ark(path, {"utt": array}, array.dtype).values()
    return f"{path}:{at}"


@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_written_is_read_as_kaldiio_reads_it(name, tmp_path):
    entry = write(tmp_path / "x.ark", ARRAYS[name])
    found = read_ark_entry(entry)
    assert found.dtype == ARRAYS[name].dtype and found.flags.writeable
    np.testing.assert_array_equal(found, ARRAYS[name])
    np.testing.assert_array_equal(found, kaldiio.load_mat(entry))


def test_a_reader_goes_from_archive_to_archive(tmp_path):
    first = write_ark(tmp_path / "1.ark", {"a": [1], "b": [2, 3]})
    second = write_ark(tmp_path / "2.ark", {"c": [4]})
    with ArkReader() as archives:
        for name, at, row in (
            (1, first["b"], [2, 3]),
            (2, second["c"], [4]),
            (1, first["a"], [1]),
        ):
            assert archives.read(f"{tmp_path}/{name}.ark:{at}").tolist() == row


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_what_is_cut_short_is_refused_wherever_it_ends(name, tmp_path):
    entry = write(tmp_path / "x.ark", ARRAYS[name])
    content = (tmp_path / "x.ark").read_bytes()
    for size in range(len("utt "), len(content)):
        (tmp_path / "x.ark").write_bytes(content[:size])
        with pytest.raises(ValueError):
            read_ark_entry(entry)


@pytest.mark.parametrize("rows, columns", [(-1, -6), (-2, 3), (2**31 - 1, 2**31 - 1)])
def test_sizes_that_cannot_be(rows, columns, tmp_path):
    sizes = b"".join(
        b"\4" + n.to_bytes(4, "little", signed=True) for n in (rows, columns)
    )
    (tmp_path / "x.ark").write_bytes(b"\0BFM " + sizes + bytes(24))
    with pytest.raises(ValueError, match="numbers follow, which are not there"):
        read_ark_entry(f"{tmp_path}/x.ark:0")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"PKL cos\nmkdir\n(S'ran'\ntR.", "no binary array of Kaldi's"),
        (b"NPY \x93NUMPY", "no binary array of Kaldi's"),
        (b"\0BCM " + bytes(40), "arrays of kind b'CM ' are not read"),
        (b"\0B\4\1\0\0\0\2\5\0\0\0", "no int32 vector"),
        (b"", "no binary array of Kaldi's"),
    ],
)
def test_other_contents_are_refused(content, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ark").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_ark_entry("x.ark:0")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "entry, reason",
    [
        ("touch ran |", "a command; run it, and name the archive it makes"),
        ("touch ran; cat x.ark |:0", "No such file"),
        ("x.ark", "no archive and offset"),
        ("x.ark:0[0:1]", "no archive and offset"),
        ("none.ark:0", "No such file"),
    ],
)
def test_other_entries_are_refused(entry, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.ark", ARRAYS["tokens"])
    with pytest.raises((OSError, ValueError), match=reason):
        read_ark_entry(entry)
    assert not (tmp_path / "ran").exists()
