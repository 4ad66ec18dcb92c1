"""Packed voices: damaged, hostile by design, at odds with themselves."""

import hashlib
import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import yaml
from hypothesis import strategies as st

from benchmarks.fuzz.hostile import pickles
from benchmarks.fuzz.material import Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.targets.configs import BUILDS
from benchmarks.fuzz.targets.text import check_speech
from benchmarks.fuzz.values import ODD, damaged, hostile_yaml, junk, yaml_files

MIB = 2**20
ENTRY_NAMES = (
    *("../x", "../../canary", "/tmp/x", "a/../../x", "a/../b", "./a", "a//b", "a/", ""),
    *("..", ".", "a\\..\\x", "C:x", "a\0b", "meta.yaml", "meta.yaml/x", "decoder"),
    *("decoder/config.yaml", "n" * 255, "n" * 300, "d/" * 200 + "x", "d/" * 3000 + "x"),
    *("\u202e", "\n", "a\nb", "\x1b[2J", "\u00e9", "CON", " ", "~", "$HOME/x", "-rf"),
)


class Entry(NamedTuple):
    """What is added to a pack by hand.

    Attributes:
        name: As it stands there.
        content: Before compression.
        mode: Of the file, see `stat`; 0 for none.
        compression: See `zipfile`.
    """

    name: str
    content: bytes = b"x"
    mode: int = 0
    compression: int = zipfile.ZIP_STORED


def write_pack(
    entries: Dict[str, bytes], more: List[Entry] = [], compress: bool = False
) -> bytes:
    """A zip, of odd names too."""
    file = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as z:
        for name, content in entries.items():
            z.writestr(name, content)
        for entry in more:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = entry.name
            info.external_attr = entry.mode << 16
            info.compress_type = entry.compression
            z.writestr(info, entry.content)
    return file.getvalue()


def sealed(entries: Dict[str, bytes]) -> Dict[str, bytes]:
    """The same, with the digests of what is in it now."""
    package = yaml.safe_load(entries["package.yaml"])
    package["sha256"] = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in entries.items()
        if name not in ("package.yaml", "meta.yaml")
    }
    return {**entries, "package.yaml": yaml.safe_dump(package).encode()}


class Packs(Target):
    """`Text2Speech.from_pretrained`, and a text for what it loads."""

    name = "packed models"
    share = 6
    names = ("voice.zip", "cache", "config.yaml", "model.pth", "decode", "duration")

    def __init__(self, material: Material):
        super().__init__(material)
        self.canary = material.root.parent / "canary"
        with zipfile.ZipFile(material.pack) as z:
            self.entries = {name: z.read(name) for name in z.namelist()}
        self.whole = write_pack(self.entries)
        self.bombs = self._bombs()

    def _bombs(self) -> List[bytes]:
        """Packs that grow: an entry too many, and the weights."""
        zeros = bytes(200 * MIB)
        return [
            write_pack(self.entries, [Entry("bomb", zeros, 0, zipfile.ZIP_DEFLATED)]),
            write_pack({**self.entries, "decoder/model.pth": zeros}, [], True),
        ]

    def cases(self):
        canary = str(self.canary)
        files = [name for name in self.entries if name.endswith((".pth", ".yaml"))]
        options = yaml.safe_load(self.entries["inference/config.yaml"])

        def odd_file(name: str):
            own = self.entries[name]
            kinds = [damaged(own), junk()]
            if name.endswith(".pth"):
                kinds.append(st.sampled_from(pickles(self.canary)))
            else:
                only = BUILDS.get(name.split("/")[0], ())
                kinds += [yaml_files(yaml.safe_load(own), canary, only)] * 2
            return st.one_of(kinds).map(lambda content: {**self.entries, name: content})

        def inference(change):
            content = yaml.safe_dump({**options, **change}).encode()
            return {**self.entries, "inference/config.yaml": content}

        names = (
            *options,
            "sampler",
            "sampler_conf",
            "time_grid",
            "temperature",
            "prior_std",
            "precision",
            "max_frames",
            "workers",
            "speed",
            "seed",
            "compile",
            "check_prompts",
            "guidance_interval",
            "token2mel_conf",
            "batch_size",
            "num_steps",
            "unknown",
        )
        odd_options = st.dictionaries(
            st.sampled_from([n for n in names if n != "compile"]),
            ODD,
            min_size=1,
            max_size=2,
        )
        contents = st.one_of(
            st.one_of([odd_file(name) for name in files]),
            odd_options.map(inference),
        )
        entry = st.builds(
            Entry,
            st.sampled_from(ENTRY_NAMES),
            st.sampled_from([b"x", b"", b"../../canary", *map(str.encode, [canary])]),
            st.sampled_from(
                [0, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644]
                + [stat.S_IFCHR | 0o644, stat.S_IFDIR | 0o755, stat.S_IFREG | 0o6777]
            ),
            st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
        )
        lost = st.sampled_from(sorted(self.entries)).map(
            lambda name: {k: v for k, v in self.entries.items() if k != name}
        )
        hostile = st.sampled_from(
            [text.encode("utf-8", "surrogatepass") for text in hostile_yaml(canary)]
        )
        hostile_meta = st.tuples(
            st.sampled_from(["meta.yaml", "package.yaml"]), hostile
        )
        bytes_of = st.one_of(
            contents.map(lambda e: write_pack(_try_seal(e))),
            contents.map(lambda e: write_pack(_try_seal(e))),
            contents.map(write_pack),
            lost.map(write_pack),
            lost.map(lambda e: write_pack(_try_seal(e))),
            self._odd_meta().map(write_pack),
            hostile_meta.map(lambda p: write_pack({**self.entries, p[0]: p[1]})),
            st.lists(entry, min_size=1, max_size=3).map(
                lambda more: write_pack(self.entries, more)
            ),
            damaged(self.whole),
            damaged(self.whole),
            st.integers(1, len(self.whole)).map(lambda n: self.whole[:-n]),
            st.just(self._many_entries()),
            junk(),
        )
        # Some are large, so few.
        return st.one_of(
            *[st.builds(Case, st.just("zip"), bytes_of)] * 30,
            st.builds(Case, st.just("bomb"), st.sampled_from(range(len(self.bombs)))),
        )

    def _odd_meta(self):
        """Packs whose meta.yaml gives other files, or no files, to the roles."""
        meta = yaml.safe_load(self.entries["meta.yaml"])
        roles = sorted({**meta["files"], **meta["yaml_files"]})
        values = st.one_of(st.sampled_from(sorted(self.entries)), ODD)
        change = st.dictionaries(
            st.sampled_from([*roles, "vocoder_config", "token2mel_config", "x"]),
            values,
            min_size=1,
            max_size=2,
        )
        part = st.sampled_from(["files", "yaml_files"])

        def write(pair):
            part, change = pair
            odd = {**meta, part: {**meta[part], **change}}
            return {**self.entries, "meta.yaml": yaml.safe_dump(odd).encode()}

        whole = st.tuples(part, ODD).map(
            lambda p: {
                **self.entries,
                "meta.yaml": yaml.safe_dump({**meta, p[0]: p[1]}).encode(),
            }
        )
        return st.one_of(st.tuples(part, change).map(write), whole)

    def _many_entries(self) -> bytes:
        return write_pack({**self.entries, **{f"x{i}": b"" for i in range(3000)}})

    def run(self, case: Case, folder: Path) -> None:
        from espnet_fsqdiff.text2speech import Text2Speech

        content = self.bombs[case.content] if case.kind == "bomb" else case.content
        path = folder / "voice.zip"
        path.write_bytes(content)
        cache = folder / "cache"
        cache.mkdir(mode=0o700)
        before = _environment("ESPNET_FSQDIFF_CACHE", str(cache))
        try:
            tts = Text2Speech.from_pretrained(path)
            check_speech(tts("hello there."), tts)
        finally:
            _environment("ESPNET_FSQDIFF_CACHE", before)


def _try_seal(entries: Dict[str, bytes]) -> Dict[str, bytes]:
    """Sealed, if it still has a package.yaml that can be read."""
    try:
        return sealed(entries)
    except (KeyError, TypeError, ValueError, RecursionError, yaml.YAMLError):
        return entries


def _environment(name: str, value: Optional[str]) -> Optional[str]:
    """Set a variable, or remove it; returns what it was."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    return before
