"""Kaldi data directories, and the commands that read them."""

from pathlib import Path
from typing import Dict

from hypothesis import strategies as st

from benchmarks.fuzz.material import Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.values import PIECES, damaged, junk

TABLES = ("wav.scp", "text", "utt2spk", "spk2utt", "utt2num_samples")
IDS = ("utt1", "utt2", "utt3", "utt4", "a/b", "..", "", "-x", "\u00e9", "x" * 300, "\0")
VALUES = (
    *("", "/", ".", "..", "/dev/null", "/nowhere/a.wav", "cat a.wav |", "| cat", "-"),
    *("a.wav", "x" * 5000, "/" + "x" * 5000, "speaker", "speaker2", "utt1 utt2 utt3"),
    *("0", "-1", "1e3", "8000", "9" * 30, "9" * 5000, "nan", "1_000", "\u0663", "a\0b"),
)


@st.composite
def edited(draw, table: str) -> str:
    """The lines of a table with some changed, lost, doubled, swapped or added."""
    lines = table.splitlines()
    values = st.one_of(st.sampled_from(VALUES), st.sampled_from(PIECES), st.text())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        how = draw(
            st.sampled_from(["add", "lose", "double", "swap", "value", "key", "empty"])
        )
        key = draw(st.sampled_from(IDS))
        if how == "add":
            lines.insert(at, f"{key} {draw(values)}")
        elif how == "empty":
            lines.insert(at, draw(st.sampled_from(["", " ", "\t", "\u3000", "\x0c"])))
        elif at < len(lines):
            own, _, value = lines[at].partition(" ")
            if how == "lose":
                del lines[at]
            elif how == "double":
                lines.insert(at, lines[at])
            elif how == "swap":
                lines[at], lines[0] = lines[0], lines[at]
            elif how == "value":
                lines[at] = f"{own} {draw(values)}"
            else:
                lines[at] = f"{key} {value}"
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\x85", "\n\n"]))
    return end.join(lines) + draw(st.sampled_from(["\n", ""]))


class DataDirs(Target):
    """`DataDir`, `validate_data_dir`, `filter_utterances`, `make_token_list`."""

    name = "data directories"
    share = 24
    names = ("set", "utt", "corpus")

    def __init__(self, material: Material):
        super().__init__(material)
        self.tables: Dict[str, str] = {
            name: (material.corpus / name).read_text(encoding="utf-8")
            for name in TABLES
        }

    def cases(self):
        kinds = ["read", "read", "validate", "filter", "token_list", "phones"]

        def content(name: str):
            table = self.tables[name]
            as_bytes = edited(table).map(lambda t: t.encode("utf-8", "surrogatepass"))
            changes = st.one_of(
                as_bytes,
                as_bytes,
                as_bytes,
                damaged(table.encode()),
                st.just("\ufeff".encode() + table.encode()),
                st.just(table.encode("utf-16")),
                st.sampled_from([None, "folder"]),
                junk(),
            )
            return st.tuples(st.just(name), changes)

        changes = st.lists(
            st.sampled_from(TABLES).flatmap(content), min_size=1, max_size=2
        )
        return st.builds(Case, st.sampled_from(kinds), changes)

    def run(self, case: Case, folder: Path) -> None:
        from espnet_fsqdiff.bin import (
            filter_utterances,
            make_token_list,
            validate_data_dir,
        )
        from espnet_fsqdiff.data.datadir import DataDir, read_num_samples

        write_set(folder / "in" / "set", self.tables, case.content)
        place = str(folder / "in" / "set")
        if case.kind == "read":
            data = DataDir.read(place)
            read_num_samples(f"{place}/utt2num_samples", data.wav)
            data.write(folder / "again")
            again = DataDir.read(folder / "again")
            assert again == data, "what is written is not what was read"
        elif case.kind == "validate":
            validate_data_dir.main([place, "--read_audio"])
        elif case.kind == "filter":
            roots = ["--input_root", f"{folder}/in", "--output_root", f"{folder}/out"]
            filter_utterances.main([*roots, "--sets", "set", "--cleaner", "lower"])
        else:
            options = ["--train_text", f"{place}/text", "--output_dir", f"{folder}/out"]
            options += ["--check_text", str(self.material.corpus / "text")]
            cleaner = "spoken_english" if case.kind == "phones" else "lower"
            make_token_list.main([*options, "--cleaner", cleaner])


def write_set(folder: Path, tables: Dict[str, str], changes) -> None:
    """Write tables, with the contents of some changed: None for none at all."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        (folder / name).write_text(table, encoding="utf-8")
    for name, content in changes:
        path = folder / name
        if not path.is_file():
            continue  # it was taken away before
        path.unlink()
        if content == "folder":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)
