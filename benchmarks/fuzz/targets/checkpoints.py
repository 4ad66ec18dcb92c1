"""Weights: damaged, misshapen, not numbers, and such as run code."""

import copy
import io
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any, Callable, Dict

import torch
from hypothesis import strategies as st

from benchmarks.fuzz.hostile import Call, pickles
from benchmarks.fuzz.material import Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.targets.text import check_speech
from benchmarks.fuzz.values import changed as changed_data
from benchmarks.fuzz.values import damaged, junk

# By name: a tensor of a state dict to what is put in its place.
CHANGES: Dict[str, Callable[[torch.Tensor], Any]] = {
    "nan": lambda w: torch.full_like(w.float(), float("nan")),
    "inf": lambda w: torch.full_like(w.float(), float("inf")),
    "huge": lambda w: torch.full_like(w.float(), 1e38),
    "zeros": torch.zeros_like,
    "half": lambda w: w.half(),
    "double": lambda w: w.double(),
    "bfloat16": lambda w: w.bfloat16(),
    "complex": lambda w: w.to(torch.complex64),
    "int": lambda w: w.long(),
    "bool": lambda w: w > 0,
    "float8": lambda w: w.to(torch.float8_e4m3fn),
    "sparse": lambda w: w.to_sparse(),
    "meta": lambda w: w.to("meta"),
    "parameter": lambda w: torch.nn.Parameter(w.float()),
    "flat": lambda w: w.flatten(),
    "scalar": lambda w: torch.tensor(1.0),
    "more": lambda w: w.unsqueeze(0),
    "none left": lambda w: torch.zeros((*w.shape, 0)),
    "expanded": lambda w: torch.zeros(()).expand(w.shape),
    "very expanded": lambda w: torch.zeros(1).expand(10**6, 10**6),
    "None": lambda w: None,
    "number": lambda w: 1.5,
    "text": lambda w: "x",
    "list": lambda w: w.tolist(),
    "dict": lambda w: {"weight": w},
}


def saved(content: Any, legacy: bool = False) -> bytes:
    """What torch.save writes, in its format of today or of before."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


class Checkpoints(Target):
    """A voice from files, the weights of one of which are at fault; a resumed run."""

    name = "checkpoints"
    share = 6
    names = ("model.pth", "checkpoint.pth", "hello", "piece", "the model")

    def __init__(self, material: Material):
        super().__init__(material)
        self.sound = {
            part: path.read_bytes() for part, path in material.weights.items()
        }
        self.states = {
            part: torch.load(io.BytesIO(content), weights_only=True)
            for part, content in self.sound.items()
        }
        self.canary = material.root.parent / "canary"
        self.model = material.tasks["decoder"].build_model(
            Namespace(**material.configs["decoder"])
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        # Beside the weights, in the checkpoint of a training.
        self.beside = dict(
            optimizers=[copy.deepcopy(self.optimizer.state_dict())],
            schedulers=[None],
            scaler=None,
            reporter=dict(epoch=1, stats={1: dict(valid=dict(loss=1.0))}),
        )

    def _in_archive(self, part: str, data: bytes, compress: bool) -> bytes:
        """torch's zip with another pickle in it."""
        file = io.BytesIO()
        kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        with zipfile.ZipFile(io.BytesIO(self.sound[part])) as old:
            with zipfile.ZipFile(file, "w", kind) as new:
                for name in old.namelist():
                    own = data if name.endswith("data.pkl") else old.read(name)
                    new.writestr(name, own)
        return file.getvalue()

    def cases(self):
        def changed(part: str):
            states = self.states[part]
            keys = st.sampled_from(sorted(states))
            edits = st.lists(
                st.tuples(
                    keys,
                    st.one_of(
                        st.sampled_from(sorted(CHANGES)),
                        st.sampled_from(["lose", "add", "rename", "number key"]),
                    ),
                ),
                min_size=1,
                max_size=3,
            )
            everywhere = st.sampled_from(sorted(CHANGES)).map(
                lambda how: [(key, how) for key in states]
            )
            return st.one_of(edits, edits, everywhere).map(
                lambda edits: self._changed(states, edits)
            )

        def content(part: str):
            states, sound = self.states[part], self.sound[part]
            objects = [
                *([], {}, None, 7, "x", [states], {"model": states}, {"a": None}),
                *(torch.zeros(3), {1: torch.zeros(3)}, {"a": {}}, {None: None}),
            ]
            made = [saved(o) for o in objects]
            made += [saved(Call(eval, f"__import__('os').mkdir({str(self.canary)!r})"))]
            made += [saved(torch.nn.Linear(2, 2)), saved(states, legacy=True)]
            hostile = pickles(self.canary)
            made += [self._in_archive(part, p, False) for p in hostile[:12]]
            data = next(
                zipfile.ZipFile(io.BytesIO(sound)).read(n)
                for n in zipfile.ZipFile(io.BytesIO(sound)).namelist()
                if n.endswith("data.pkl")
            )
            weights = st.builds(
                saved, changed(part), st.sampled_from([False, False, False, True])
            )
            return st.one_of(
                weights,
                weights,
                weights,
                st.sampled_from(made),
                st.sampled_from(hostile),
                damaged(sound),
                damaged(made[-13]),
                damaged(data).map(lambda d: self._in_archive(part, d, False)),
                st.booleans().map(lambda c: self._in_archive(part, data, c)),
                junk(),
            )

        inference = st.one_of(
            [st.builds(Case, st.just(p), content(p)) for p in sorted(self.sound)]
        )
        sound = self.states["decoder"]
        training = st.one_of(
            changed("decoder").map(lambda states: dict(self.beside, model=states)),
            changed_data(self.beside).map(lambda beside: dict(beside, model=sound)),
        )
        resume = st.builds(
            Case, st.just("resume"), st.one_of(content("decoder"), training.map(saved))
        )
        return st.one_of(inference, inference, inference, resume)

    @staticmethod
    def _changed(states: Dict[str, torch.Tensor], edits) -> Dict[Any, Any]:
        own, states = states, dict(states)
        for key, how in edits:
            if states.get(key) is not own[key]:
                continue  # changed before
            if how == "lose":
                del states[key]
            elif how == "add":
                states[f"{key}.x"] = torch.zeros(2)
            elif how == "rename":
                states[f"x.{key}"] = states.pop(key)
            elif how == "number key":
                states[7] = states.pop(key)
            else:
                states[key] = CHANGES[how](states[key])
        return states

    def run(self, case: Case, folder: Path) -> None:
        from espnet_fsqdiff.tasks.trainer import ResumableTrainer
        from espnet_fsqdiff.tasks.training_state import load_training

        if case.kind == "resume":
            path = folder / "checkpoint.pth"
            path.write_bytes(case.content)
            states = ResumableTrainer.mend(folder)
            if states is not None:
                parts = (self.model, [self.optimizer], [None], None)
                load_training(path, states, *parts)
            return
        path = folder / "model.pth"
        path.write_bytes(case.content)
        tts = self.material.voice_with(case.kind, weights=path)
        check_speech(tts("hello there."), tts)
