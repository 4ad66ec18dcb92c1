"""A voice's graphs in onnxruntime, in the places of the torch modules.

Only what costs time runs there: the samplers, guidance, durations, Token2Mel and the
vocoder are the same, and so are noise, tokens and sound for a seed.
"""

import hashlib
import importlib.util
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Mapping, Union

import torch
from torch import nn

from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import check_indices
from espnet_fsqdiff.nets.dit import check_frames
from espnet_fsqdiff.onnx.signature import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    OPSET,
    Facts,
    Signature,
    signatures,
)

COMMAND = "python -m espnet_fsqdiff.bin.export_onnx"


def require(package: str) -> None:
    """Refuse to go on without a package of the extra `onnx`.

    Raises:
        InputError: It is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"{package} is not installed; pip install 'espnet_fsqdiff[onnx]'"
        )


class Graph:
    """One graph, called with tensors on the CPU by name.

    It takes as many threads as torch has when it is loaded.

    Args:
        content: Of the file.
        signature: What its inputs and its output have to be.
        name: For messages.

    Raises:
        InputError: If it is no graph, or has another signature.
    """

    def __init__(self, content: bytes, signature: Signature, name: str):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # A plan would be kept for every size that ever came.
        options.enable_mem_pattern = False
        # Idle threads would keep busy the cores of other calls at once.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # its own kinds have no public base
            reason = " ".join(str(e).split())[:200]
            raise InputError(f"{name}: onnxruntime refuses it: {reason}") from e
        wanted = {k: (kind, list(axes)) for k, (kind, axes) in signature.inputs.items()}
        wanted[signature.output] = ("float32", list(signature.output_axes))
        arguments = [*self.session.get_inputs(), *self.session.get_outputs()]
        found = {a.name: (_TYPES.get(a.type, a.type), a.shape) for a in arguments}
        for key in [*wanted, *found]:
            if found.get(key) != wanted.get(key):
                raise InputError(
                    f"{name}: {key} is {found.get(key)}, not {wanted.get(key)}; "
                    f"export it again ({COMMAND})"
                )

    def __call__(self, **inputs: torch.Tensor) -> torch.Tensor:
        feed = {
            name: value.detach().contiguous().numpy() for name, value in inputs.items()
        }
        (output,) = self.session.run(None, feed)
        return torch.from_numpy(output)


_TYPES = {
    "tensor(float)": "float32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxNetwork(CDCDNetwork):
    """Stands where a `CDCDNetwork` stands at inference.

    Args:
        graphs: By name.
        head: That of the network: it owns the codebook, and scores takes.
        facts: Of the voice.
    """

    only_float32 = True

    def __init__(self, graphs: Mapping[str, Graph], head: nn.Module, facts: Facts):
        nn.Module.__init__(self)
        self.graphs = graphs
        self.head = head
        self.facts = facts

    @property
    def self_conditioning(self) -> bool:
        return self.facts.self_conditioning

    @property
    def sees_padding(self) -> bool:
        # Graphs do not say: lengths stay as they are.
        return True

    @property
    def max_frames(self) -> int:
        return self.facts.max_frames

    def compile_backbone(self) -> None:
        raise InputError("compile is for backend torch; leave it out")

    def encode_text(self, text, text_lengths, mask, durations=None, drop=None):
        if (durations is not None) != self.facts.lays_text:
            wants = "lays" if self.facts.lays_text else "does not lay"
            raise InputError(f"this model {wants} text by durations")
        inputs = dict(text=text, text_lengths=text_lengths, mask=mask, drop=drop)
        if drop is None:
            inputs["drop"] = torch.zeros(len(text), dtype=torch.bool)
        if durations is not None:
            inputs["durations"] = durations
        return self.graphs["text_encoder"](**inputs)

    def features(self, x, t, prompt, text, mask, estimate=None):
        check_frames(x.size(1), self.max_frames)
        inputs = dict(x=x, t=t, prompt=prompt, vectors=text, mask=mask)
        if self.self_conditioning:
            inputs["estimate"] = torch.zeros_like(x) if estimate is None else estimate
        return self.graphs["denoiser"](**inputs)

    def posterior_mean(self, features, temperature=1.0):
        temperature = torch.tensor(temperature, dtype=torch.float32)
        return self.graphs["posterior"](rows=features, temperature=temperature)


class OnnxMelDecoder:
    """`SpeechTokenizerModel.decode` by its graph."""

    def __init__(self, graph: Graph, num_codes: int):
        self.graph = graph
        self.num_codes = num_codes

    def __call__(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        check_indices(tokens, self.num_codes)
        return self.graph(tokens=tokens, lengths=lengths)


def digests(**files: Union[str, Path]) -> Dict[str, str]:
    """SHA-256 of files, by role."""
    found = {}
    for role, path in files.items():
        with open(path, "rb") as f:
            found[role] = hashlib.file_digest(f, "sha256").hexdigest()
    return found


def load_graphs(
    folder: Union[str, Path], facts: Facts, sources: Mapping[str, str]
) -> Dict[str, Graph]:
    """The graphs of a voice by name, checked.

    Args:
        folder: Where `exporting.export` wrote.
        facts: Of the voice that they shall speak with.
        sources: SHA-256 of the files of its weights, by role.

    Raises:
        InputError: If onnxruntime or a file is missing, or a file is not what was
            written, or they were made of another voice.
    """
    require("onnxruntime")
    folder = Path(folder)
    manifest = _read_manifest(folder / MANIFEST)
    where = folder / MANIFEST
    _compare(where, "model", manifest.get("model"), asdict(facts))
    _compare(where, "sources", manifest.get("sources"), dict(sources))
    graphs = {}
    for name, signature in signatures(facts).items():
        path = folder / f"{name}.onnx"
        try:
            content = path.read_bytes()
        except OSError:
            raise InputError(
                f"{path} is missing; export it again ({COMMAND})"
            ) from None
        entry = _part(_part(manifest, "graphs"), name)
        if entry.get("sha256") != hashlib.sha256(content).hexdigest():
            raise InputError(
                f"{path} is not what was exported (its SHA-256 differs); export it "
                f"again ({COMMAND})"
            )
        graphs[name] = Graph(content, signature, str(path))
    return graphs


def _read_manifest(path: Path) -> Dict[str, Any]:
    from espnet_fsqdiff.yaml_files import read_yaml

    if not path.is_file():
        raise InputError(f"{path} is missing; export the voice first ({COMMAND})")
    manifest = read_yaml(path)
    if manifest.get("format") != FORMAT:
        raise InputError(f"{path}: no export of this program; make it with {COMMAND}")
    for name, known in (("version", FORMAT_VERSION), ("opset", OPSET)):
        if manifest.get(name) != known:
            raise InputError(
                f"{path}: {name} is {manifest.get(name)!r}, known is {known}; export "
                f"it again ({COMMAND})"
            )
    return manifest


def _part(values: Any, key: str) -> Dict[str, Any]:
    """What a mapping has under a key, if that is a mapping, else an empty one."""
    part = values.get(key)
    return part if isinstance(part, dict) else {}


def _compare(path: Path, part: str, found: Any, wanted: Dict[str, Any]) -> None:
    found = found if isinstance(found, dict) else {}
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{path}: {part}: {key} is {found.get(key)}, this voice's is {value}; "
                f"export it again ({COMMAND})"
            )


def use_onnx(
    model: Any,
    tokenizer: Any,
    lays_text: bool,
    folder: Union[str, Path],
    sources: Mapping[str, str],
) -> None:
    """Let a voice's networks run in onnxruntime, and let their torch weights go.

    Args:
        model: `ESPnetCDCDModel` on the CPU; its network becomes an `OnnxNetwork`.
        tokenizer: `SpeechTokenizer`; its mel decoder decodes by an `OnnxMelDecoder`.
            Its encoder and recognition head, for prompts and takes, stay torch's.
        lays_text: Whether text is laid over the frames by durations.
        folder: Of the graphs.
        sources: SHA-256 of the files of its weights, by role.

    Raises:
        InputError: If it is no diffusion decoder; see also `load_graphs`.
    """
    from espnet_fsqdiff.onnx.graphs import facts_of

    if not isinstance(model.ema.network, CDCDNetwork):
        raise InputError(
            "backend onnx is for diffusion decoders, this is a language model; take "
            "backend torch"
        )
    if tokenizer.mel_decoder is None:
        raise InputError("backend onnx is for tokenizers of this package alone")
    facts = facts_of(model.ema.network, tokenizer.model, lays_text)
    graphs = load_graphs(folder, facts, sources)
    network = OnnxNetwork(graphs, model.ema.network.head, facts)
    model.network = model.ema.network = network
    decode = OnnxMelDecoder(graphs["mel_decoder"], facts.num_codes)
    tokenizer.mel_decoder.decode = decode
