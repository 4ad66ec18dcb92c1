"""Commands as a shell calls them: exit status 2 and one line, or they work."""

import itertools
from pathlib import Path

from hypothesis import strategies as st

from benchmarks.fuzz.commanding import run_command, run_process
from benchmarks.fuzz.material import INFERENCE, Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.targets.data_dirs import TABLES, edited, write_set
from benchmarks.fuzz.values import ODD, texts, yaml_files

# Every so many of them goes to a process of its own, which takes seconds.
OWN_PROCESS = 10


class Commands(Target):
    """`fsqdiff-tts`, `fsqdiff-inference`, `pack`, `extract_tokens`, data commands."""

    name = "commands"
    share = 2
    may_run = True
    patience = 15.0

    def __init__(self, material: Material):
        super().__init__(material)
        self._numbers = itertools.count(1)
        self.tables = {
            name: (material.corpus / name).read_text(encoding="utf-8")
            for name in TABLES
        }

    def cases(self):
        words = texts(200).filter(lambda t: "\0" not in t and _encodes(t))
        odd = ODD.map(str).filter(lambda t: "\0" not in t and _encodes(t))
        tts_options = st.dictionaries(
            st.sampled_from(
                ["--speed", "--num_steps", "--seed", "--batch_size", "--temperature"]
                + ["--guidance_scale", "--vocoder", "--vocoder_conf", "--prompt_wav"]
                + ["--prompt_text", "--num_takes", "--model", "--unknown"]
            ),
            odd,
            max_size=2,
        )
        tables = st.lists(
            st.sampled_from(TABLES).flatmap(
                lambda name: st.tuples(
                    st.just(name),
                    edited(self.tables[name]).map(
                        lambda t: t.encode("utf-8", "surrogatepass")
                    ),
                )
            ),
            max_size=1,
        )
        canary = str(self.material.root.parent / "canary")
        decode = yaml_files({**INFERENCE, "speed": 1.0, "seed": 0}, canary)
        return st.one_of(
            st.builds(Case, st.just("text"), st.tuples(words, tts_options)),
            st.builds(Case, st.just("lines"), texts(200).map(_bytes)),
            st.builds(Case, st.just("file"), texts(200).map(_bytes)),
            st.builds(Case, st.just("inference"), decode),
            st.builds(Case, st.just("pack"), decode),
            st.builds(Case, st.just("extract"), tables),
            st.builds(Case, st.just("validate"), tables),
        )

    def run(self, case: Case, folder: Path) -> None:
        name, options = self._command(case, folder)
        module = f"espnet_fsqdiff.bin.{name}"
        if next(self._numbers) % OWN_PROCESS == 0:
            run_process(module, options)
            return
        import importlib

        main = importlib.import_module(module).main
        run_command(lambda: main(options))

    def _command(self, case: Case, folder: Path):
        files, content = self.material.files, case.content
        model = ["--model", str(self.material.pack), "--quiet"]
        if case.kind == "text":
            more = [word for pair in content[1].items() for word in pair]
            out = ["-o", str(folder / "a.wav")]
            return "tts", [*model, *more, *out, "--", content[0]]
        if case.kind in ("lines", "file"):
            path = folder / "lines.txt"
            path.write_bytes(content)
            out = ["-o", str(folder / "a.flac")]
            if case.kind == "lines":
                out = ["--output_dir", str(folder / "out")]
            return "tts", [*model, "--text_file", str(path), *out]
        if case.kind in ("inference", "pack"):
            path = folder / "decode.yaml"
            path.write_bytes(content)
            roles = ["train_config", "model_file", "tokenizer_config"]
            roles += ["tokenizer_file", "duration_file"]
            given = [word for r in roles for word in (f"--{r}", str(files[r]))]
            if case.kind == "pack":
                out = ["--outpath", str(folder / "a.zip"), "--licence", "CC0-1.0"]
                return "pack", [*given, "--inference_config", str(path), *out]
            out = ["--output_dir", str(folder / "out")]
            data = ["--data_dir", str(self.material.corpus)]
            return "tts_inference", ["--config", str(path), *given, *data, *out]
        write_set(folder / "set", self.tables, content)
        if case.kind == "validate":
            return "validate_data_dir", [str(folder / "set"), "--fs", "16000"]
        given = ["--train_config", str(files["tokenizer_config"])]
        given += ["--model_file", str(files["tokenizer_file"])]
        places = ["--data_dirs", str(folder / "set"), "--output_root", str(folder)]
        places[-1] += "/out"
        return "extract_tokens", [*given, *places]


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
