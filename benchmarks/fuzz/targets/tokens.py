"""Tokens, speaker embeddings, mels: archives, their scp files, tables, token lists."""

import pickle
import struct
from pathlib import Path
from typing import Dict

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.hostile import pickles
from benchmarks.fuzz.material import Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.targets.data_dirs import edited
from benchmarks.fuzz.values import damaged, junk

ARCHIVES = ("tokens", "vectors", "mels")
TABLES = ("tokens.txt", "durations.txt", "counts.txt")
NAMES = (*TABLES, *(f"{name}.{kind}" for name in ARCHIVES for kind in ("scp", "ark")))
UTTS = ("utt1", "utt2", "utt3")


class Tokens(Target):
    """What reads tokens, embeddings, mels, counts and token lists; the fit."""

    name = "tokens (scp, ark, tables)"
    share = 24
    names = (*TABLES, *(f"{name}.scp" for name in ARCHIVES), "utt", "set")

    def __init__(self, material: Material):
        super().__init__(material)
        self.sound: Dict[str, bytes] = {
            name: (material.tokens / name).read_bytes() for name in NAMES
        }
        place = str(material.tokens).encode()
        for name in ARCHIVES:
            scp = f"{name}.scp"
            self.sound[scp] = self.sound[scp].replace(place, b"HERE")
        self.sound["list.txt"] = material.symbols.read_bytes()
        self.canary = material.root.parent / "canary"

    def cases(self):
        def content(name: str):
            sound = self.sound[name]
            kinds = [damaged(sound), junk()]
            if name.endswith(".ark"):
                kinds += [st.sampled_from(self._arks())] * 2
            elif name.endswith(".scp"):
                entries = st.sampled_from(self._entries(name[: -len(".scp")]))
                kinds += [entries.map(lambda entry: self._scp(name, entry))] * 3
            if not name.endswith(".ark"):
                kinds += [
                    edited(sound.decode()).map(
                        lambda t: t.encode("utf-8", "surrogatepass")
                    )
                ] * 2
                kinds += [st.sampled_from([b"\xff\n", b"", b"\n", b" \n"])]
            # The fit reads neither embeddings nor mels.
            fits = not name.startswith(("vectors", "mels"))
            return st.builds(
                Case,
                st.sampled_from(["read", "read", "read", "fit" if fits else "read"]),
                st.tuples(st.just(name), st.one_of(kinds)),
            )

        return st.one_of([content(name) for name in sorted(self.sound)])

    def _scp(self, name: str, entry: str) -> bytes:
        lines = self.sound[name].decode().splitlines()
        return "\n".join([f"utt1 {entry}", *lines[1:], ""]).encode()

    def _entries(self, name: str):
        canary = self.canary
        ark = f"HERE/{name}.ark"
        return [
            *(ark, f"{ark}:0", f"{ark}:-1", f"{ark}:1", f"{ark}:{10**9}", f"{ark}:"),
            *(f"{ark}:{10**30}", f"{ark}:5[0:2]", f"{ark}:5[2:0]", f"{ark}:5[9:9]"),
            *(
                f"{ark}:5[0:1,0:1]",
                f"{ark}:5[",
                f"{ark}:5[:::]",
                f"{ark}:x",
                f"{ark}:5:5",
            ),
            *(f"mkdir {canary} |", f"|mkdir {canary}", f"cat {ark} |", "-", "-:5", "|"),
            *("HERE", "HERE:5", "/dev/zero:0", "/dev/null:0", "/etc/passwd:0", "\0:5"),
            *("x" * 5000, f"{name}.ark:5", "HERE/tokens.txt:5", "HERE/counts.txt"),
            *(f"HERE/{other}.ark:5" for other in ARCHIVES),
        ]

    def _arks(self):
        """Archives of other things than int32 vectors, at the offsets of these."""
        rows = {
            "float": np.arange(5, dtype=np.float32),
            "double": np.arange(5, dtype=np.float64),
            "matrix": np.zeros((3, 3), dtype=np.float32),
        }
        head = b"utt1 "
        arks = [head + b"PKL" + content for content in pickles(self.canary)]
        arks += [
            head + b"NPY" + struct.pack("<I", 200) + content
            for content in self._arrays(rows.values())
        ]
        for size in (0, 1, 3, 1000, 2**31 - 1, -1, -(2**31)):
            row = b"".join(b"\4" + struct.pack("<i", i) for i in range(3))
            arks.append(head + b"\0B\4" + struct.pack("<i", size) + row)
        for kind in (b"FM ", b"FV ", b"DM ", b"DV ", b"CM ", b"CM2 ", b"CM3 ", b"XX "):
            for size in (1, 2**31 - 1, -1):
                sizes = b"\4" + struct.pack("<i", size)
                arks.append(head + b"\0B" + kind + sizes * 2 + bytes(64))
        arks += [head + b"\0B\5" + bytes(20), head + b"\0B\4\3\0\0\0" + b"\5" * 15]
        arks += [head + b" [ 1 2 3 ]\n", head + b" [\n", head + b"RIFF" + bytes(40)]
        arks += [head + b"fLaC" + bytes(40), head + b"AUDIO" + bytes(40)]
        return arks

    def _arrays(self, rows):
        import io

        for row in [*rows, np.array([{}], dtype=object)]:
            file = io.BytesIO()
            np.save(file, row, allow_pickle=True)
            yield file.getvalue()
        yield pickle.dumps([1])

    def run(self, case: Case, folder: Path) -> None:
        from espnet2.train.dataset import DATA_TYPES

        from espnet_fsqdiff.bin import fit_duration
        from espnet_fsqdiff.tasks.data_types import name_faults
        from espnet_fsqdiff.text.tokenizer import TextTokenizer
        from espnet_fsqdiff.token2wav.speakers import read_embeddings
        from espnet_fsqdiff.token_io import read_counts, read_int_table, read_tokens

        place = folder / "set"
        place.mkdir()
        name, content = case.content
        for own, sound in {**self.sound, name: content}.items():
            (place / own).write_bytes(sound.replace(b"HERE", str(place).encode()))
        if case.kind == "fit":
            options = []
            for part in ("train", "valid"):
                options += [f"--{part}_tokens", str(place)]
                options += [f"--{part}_text", str(self.material.corpus / "text")]
            options += ["--token_list", str(place / "list.txt")]
            fit_duration.main([*options, "--output_dir", str(folder / "out")])
            return
        for kind in ("tokens.scp", "tokens.txt"):
            for row in read_tokens(place / kind, 27).values():
                assert row.dtype == np.int64 and row.ndim == 1, "odd tokens"
                assert ((row >= 0) & (row < 27)).all(), "tokens outside the codebook"
        read_int_table(place / "durations.txt")
        read_counts(place / "counts.txt")
        TextTokenizer("char", place / "list.txt").encode("a word.", "utt")
        voices = read_embeddings(place / "vectors.scp", UTTS)
        assert all(voice.isfinite().all() for voice in voices.values()), "odd voices"
        name_faults()
        for mel in DATA_TYPES["kaldi_ark"]["func"](str(place / "mels.scp")).values():
            assert isinstance(mel, np.ndarray), "no array"
