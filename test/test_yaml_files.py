"""yaml that nobody vouches for."""

import time

import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.yaml_files import MAX_BYTES, load_yaml, read_yaml


def grown(first, row):
    """Nine lists or mappings, each of ten times the one before."""
    rows = [f"a0: &a0 {first}"]
    for i in range(1, 10):
        aliases = ", ".join([f"*a{i - 1}"] * 10)
        rows.append(f"a{i}: &a{i} {row.replace('ALIASES', aliases)}")
    return "\n".join(rows)


HOSTILE = {
    "a: !!python/object/apply:os.getcwd []": "could not determine a constructor",
    "a: !!python/name:os.system": "could not determine a constructor",
    grown("[ha]", "[ALIASES]"): "more than 1000000 values",
    grown("{x: 1}", "{<<: [ALIASES]}"): "more than 1000000 values",
    "a: &a [*a]": "holds itself",
    "a: &a {b: *a}": "holds itself",
    "a: " + "[" * 100_000: "50 deep",
    "a: " + "{a: " * 3000 + "}" * 3000: "50 deep",
    "a: " + "9" * 5000: "a number of 5000 characters",
    "a: 0x" + "f" * 20_000: "a number of 20002 characters",
    "a: 2001-99-99": "not yaml",
    "a: !!timestamp x": "not yaml",
    "a: !!bool 7": "not yaml",
    "a: !!int x": "not yaml",
    "? {x: y}\n: 1": "not yaml",
    "a: *unknown": "undefined alias",
    "a: \0": "not yaml",
    "a: x\n" * (MAX_BYTES // 5 + 1): "bytes are no configuration",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20].strip())
def test_hostile_documents_are_refused(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    start = time.perf_counter()
    with pytest.raises(InputError, match="config.yaml: .*" + HOSTILE[text]):
        read_yaml(path)
    assert time.perf_counter() - start < 5


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "config.yaml"
    with pytest.raises(InputError, match="config.yaml: no such file"):
        read_yaml(path)
    for content in (b"[]", b"", b"7", b"1: 2"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="config.yaml: not a configuration"):
            read_yaml(path)
    for content in (b"a: \xff", "a: 1".encode("utf-16")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="config.yaml: not yaml"):
            read_yaml(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="config.yaml: cannot be read"):
        read_yaml(path)


def test_aliases_and_merges_of_plain_use_are_read():
    text = "a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, y: 2.5}\nd: \u00e9\n"
    read = load_yaml(text.encode("utf-8-sig"), "here")
    assert read == dict(a={"x": 1}, b=[{"x": 1}] * 2, c={"x": 1, "y": 2.5}, d="\u00e9")
