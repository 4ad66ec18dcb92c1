"""Jobs that write chunks do not disturb each other."""

from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.shards import Chunk, unfinished


def test_a_job_started_twice_leaves_the_other_its_files(tmp_path):
    chunk = Chunk(tmp_path / "tokens.1.1.ark", 1, ["a", "b"], lambda: "key")
    with atomic_path(chunk.ark) as aside:
        aside.write_bytes(b"whole")
        assert unfinished({tmp_path: [chunk]}, 1) == ([chunk], 0, 2)
    chunk.write_note()
    assert chunk.ark.read_bytes() == b"whole"
    assert unfinished({tmp_path: [chunk]}, 1) == ([], 2, 2)
