"""Every stage reads the tables that are written; the memory is not tested."""

import pytest

from benchmarks import table_memory


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    table_memory.write_tables(root, 400)
    return root


@pytest.mark.parametrize("name", table_memory.READERS)
def test_a_stage_reads_all_that_is_its(tables, name):
    kept = table_memory.READERS[name](tables)
    if name.startswith("7"):
        (chunks,) = kept.values()
        utts = [utt for chunk in chunks for utt in chunk.data]
        assert len(utts) == (400 if "merge" in name else 400 // table_memory.NUM_JOBS)
    elif name.startswith("8"):
        assert {len(x) for x in kept.durations} == {152} and len(kept.texts) == 400
    elif name.startswith("2"):
        assert len(kept) == 400
    else:
        data, sampler = kept
        assert len(list(data)) == 400 == sum(map(len, sampler))


def test_report_has_a_line_for_each(capsys):
    table_memory.main(["--utterances", "200", "--hours", "1000"])
    lines = capsys.readouterr().out.splitlines()
    assert "GB for 0.4 M" in lines[0]
    assert len(lines) == 2 + len(table_memory.READERS)
