"""Writing a voice's graphs, each compared with torch before it is kept."""

import hashlib
import logging
import math
import warnings
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Union

import torch
import yaml
from torch import nn

import espnet_fsqdiff
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.onnx.graphs import example, facts_of, make_graphs
from espnet_fsqdiff.onnx.runtime import Graph, require
from espnet_fsqdiff.onnx.signature import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    OPSET,
    Facts,
    Signature,
    signatures,
)
from espnet_fsqdiff.tokenizer import SpeechTokenizerModel

TOLERANCE = 1e-3
TRACED = (2, 5, 9)  # utterances, symbols and frames of the example
# Others, to see that sizes stayed open: one of one, more and fewer.
COMPARED = ((1, 1, 1), (3, 12, 40), (1, 4, 31))


@torch.no_grad()
def export(
    network: CDCDNetwork,
    tokenizer: SpeechTokenizerModel,
    lays_text: bool,
    outdir: Union[str, Path],
    sources: Dict[str, str],
) -> Path:
    """Write the graphs of a voice, and the manifest by which they are checked.

    torch's older exporter, which traces, takes seconds where the newer takes
    minutes; what a trace may fix by mistake the comparison finds.

    Args:
        network: Of the diffusion decoder, in eval mode, on the CPU.
        tokenizer: With a mel decoder, in eval mode, on the CPU.
        lays_text: Whether text is laid over the frames by durations.
        outdir: Where `<graph>.onnx` and onnx.yaml go.
        sources: SHA-256 of the files of the weights, by role; see `runtime.digests`.

    Returns:
        The manifest.

    Raises:
        InputError: If onnx or onnxruntime is missing, or a graph is not torch's
            equal.
    """
    for package in ("onnx", "onnxruntime"):
        require(package)
    outdir = Path(outdir)
    facts = facts_of(network, tokenizer, lays_text)
    graphs = make_graphs(network, tokenizer)
    inputs = example(facts, *TRACED, torch.Generator().manual_seed(0))
    entries: Dict[str, Any] = {}
    manifest = outdir / MANIFEST
    manifest.unlink(missing_ok=True)  # of other graphs
    for name, signature in signatures(facts).items():
        with atomic_path(outdir / f"{name}.onnx") as aside:
            write_graph(graphs[name], signature, inputs[name], aside)
            content = aside.read_bytes()
            graph = Graph(content, signature, str(aside))
            difference = largest_difference(graph, graphs[name], facts, name)
            if not difference <= TOLERANCE:
                raise InputError(
                    f"{name}: its graph differs from torch by {difference:.2g}, more "
                    f"than {TOLERANCE:g}; this network cannot be exported"
                )
        logging.info(
            f"{name}.onnx: {len(content) / 2**20:.1f} MiB, within {difference:.1e}"
        )
        entries[name] = {
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "inputs": {
                key: {"type": kind, "shape": list(axes)}
                for key, (kind, axes) in signature.inputs.items()
            },
            "outputs": {
                signature.output: {
                    "type": "float32",
                    "shape": list(signature.output_axes),
                }
            },
            "max_difference": difference,
        }
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "opset": OPSET,
        "versions": {
            "espnet_fsqdiff": espnet_fsqdiff.__version__,
            **{p: metadata.version(p) for p in ("torch", "onnx", "onnxruntime")},
        },
        "model": asdict(facts),
        "sources": dict(sources),
        "graphs": entries,
    }
    with atomic_path(manifest) as aside:
        aside.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return manifest


def write_graph(
    module: nn.Module,
    signature: Signature,
    inputs: Dict[str, torch.Tensor],
    path: Path,
) -> None:
    """Write one graph, its named axes open."""
    axes = {name: axes for name, (_, axes) in signature.inputs.items()}
    axes[signature.output] = signature.output_axes
    with warnings.catch_warnings():
        # That the exporter is the older, and what the trace takes for a constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            path,
            input_names=list(signature.inputs),
            output_names=[signature.output],
            dynamic_axes={
                name: {i: axis for i, axis in enumerate(row) if isinstance(axis, str)}
                for name, row in axes.items()
            },
            opset_version=OPSET,
            dynamo=False,
        )


def largest_difference(
    graph: Graph, module: nn.Module, facts: Facts, name: str
) -> float:
    """Between a graph's output and its module's, over batches of other sizes."""
    found = 0.0
    for seed, (batch, symbols, frames) in enumerate(COMPARED):
        generator = torch.Generator().manual_seed(seed)
        frames = min(frames, facts.max_frames)
        inputs = example(facts, batch, symbols, frames, generator)[name]
        apart = (graph(**inputs) - module(*inputs.values())).abs().max().item()
        found = max(found, apart) if apart == apart else math.inf
    return found
