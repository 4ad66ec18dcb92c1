"""A voice as ONNX graphs: what torch makes is what onnxruntime makes."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from espnet_fsqdiff.codebook import FSQCodebook, LearnedCodebook
from espnet_fsqdiff.diffusion import CDCDNetwork, LinearSchedule, Sampling, generate
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import HEADS
from espnet_fsqdiff.nets.text_encoder import TextEncoder

for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package, reason="the extra `onnx` is not installed")

LEVELS = (3, 3, 3)
TEXTS = ["abc", "a cab, a bag.", "b"]


def make_network(head="joint", laid=True, self_conditioning=False, codebook=None):
    torch.manual_seed(0)
    codebook = codebook or FSQCodebook(LEVELS)
    options = dict(num_symbol_layers=1, place=True, positions=False) if laid else {}
    network = CDCDNetwork(
        TextEncoder(9, dim=16, num_layers=1, dropout=0.5, **options),
        DiT(
            *(3, 16),
            dim=32,
            depth=1,
            num_heads=2,
            max_frames=64,
            dropout=0.5,
            self_conditioning=self_conditioning,
        ),
        HEADS[head](32, codebook),
    )
    # Far from where training starts, so that text and noise matter.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def make_tokenizer(quantizer=None):
    from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

    from espnet_fsqdiff.tokenizer import SpeechTokenizerModel
    from espnet_fsqdiff.tokenizer.convnext import ConvNeXtDecoder, ConvNeXtEncoder

    torch.manual_seed(1)
    feats = LogMelFbank(fs=16000, n_fft=512, hop_length=160, n_mels=20)
    quantizer = quantizer or FSQ(LEVELS)
    return SpeechTokenizerModel(
        feats,
        ConvNeXtEncoder(80, output_size=16, num_blocks=1),
        quantizer,
        ConvNeXtDecoder(quantizer.dim, 80, hidden_size=16, num_blocks=1, dropout=0.5),
        None,
        ctc_weight=0.0,
    ).eval()


def make_rvq():
    from espnet_fsqdiff.rvq import ResidualVQ

    quantizer = ResidualVQ(dim=3, num_books=3, book_size=3)
    for layer in quantizer.vq.layers:
        layer._codebook.embed.normal_()
    return quantizer.eval()


VARIANTS = {
    "joint, laid": dict(),
    "factorized, filler, self-conditioning": dict(
        head="factorized", laid=False, self_conditioning=True
    ),
    "pairwise, laid, self-conditioning": dict(head="pairwise", self_conditioning=True),
    "joint, learned codebook": dict(codebook=LearnedCodebook(LEVELS)),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_the_same_tokens_and_mels(tmp_path, variant):
    from espnet_fsqdiff.onnx.exporting import export
    from espnet_fsqdiff.onnx.graphs import facts_of
    from espnet_fsqdiff.onnx.runtime import OnnxMelDecoder, OnnxNetwork, load_graphs

    network, laid = make_network(**variant), variant.get("laid", True)
    tokenizer = make_tokenizer(make_rvq() if "codebook" in variant else None)
    export(network, tokenizer, laid, tmp_path, {"model_file": "0"})
    assert not any(m.training for n in (network, tokenizer) for m in n.modules())
    facts = facts_of(network, tokenizer, laid)
    graphs = load_graphs(tmp_path, facts, {"model_file": "0"})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["onnx.yaml", *(f"{name}.onnx" for name in graphs)]
    )
    other = OnnxNetwork(graphs, network.head, facts)
    run = dict(
        text=[torch.tensor([1, 2, 3]), torch.tensor([8]), torch.arange(6)],
        num_frames=[20, 1, 33],
        durations=[torch.tensor(d) for d in ([5, 10, 5], [1], [3, 9, 1, 8, 7, 5])],
        prompts=[torch.arange(7), None, None],
        seeds=[3, 4, 5],
        sampling=Sampling(
            num_steps=4, temperature=0.8, guidance_interval=(0.2, 0.9), max_frames=50
        ),
    )
    if not laid:
        run["durations"] = None
    ours, theirs = (
        generate(n, n.codebook, LinearSchedule(), **run) for n in (network, other)
    )
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))
    for i, tokens in enumerate(theirs):
        alone = {k: v[i : i + 1] for k, v in run.items() if isinstance(v, list)}
        run_alone = {**run, **alone}
        alone = generate(other, other.codebook, LinearSchedule(), **run_alone)
        assert torch.equal(alone[0], tokens)

    decode = OnnxMelDecoder(graphs["mel_decoder"], tokenizer.quantizer.num_codes)
    tokens, lengths = torch.randint(27, (2, 30)), torch.tensor([30, 11])
    with torch.no_grad():
        expected = tokenizer.decode(tokens, lengths)
    torch.testing.assert_close(decode(tokens, lengths), expected, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="token 27 is outside the codebook"):
        decode(torch.tensor([[27]]), torch.tensor([1]))


@pytest.fixture(scope="module")
def parts(write_voice, tmp_path_factory):
    """A voice's files by role, and the folder that the command exported to."""
    from espnet_fsqdiff.bin.export_onnx import FILES, main

    folder = tmp_path_factory.mktemp("onnx_voice")
    files = write_voice(folder / "voice")
    files = {k: v for k, v in files.items() if k not in ("inference_config", "readme")}
    cmd = [word for role in FILES for word in (f"--{role}", str(files[role]))]
    main([*cmd, "--outdir", str(folder / "graphs")])
    return files, folder / "graphs"


@pytest.fixture
def graphs(parts, tmp_path):
    """A copy of the graphs."""
    return shutil.copytree(parts[1], tmp_path / "graphs")


OPTIONS = dict(num_steps=3, vocoder_conf=dict(num_iters=1))


def load(files, **options):
    from espnet_fsqdiff.text2speech import Text2Speech

    return Text2Speech.from_files(**files, **{**OPTIONS, **options})


def test_the_same_speech(parts):
    files, graphs = parts
    tts = {
        "torch": load(files),
        "onnx": load(files, backend="onnx", onnx_dir=graphs),
    }
    ours, theirs = (one.batch(TEXTS, num_takes=2) for one in tts.values())
    for a, b in zip(ours, theirs):
        assert torch.equal(a["tokens"], b["tokens"])
        torch.testing.assert_close(a["mel"], b["mel"], atol=1e-3, rtol=0)
        torch.testing.assert_close(a["wav"], b["wav"], atol=1e-3, rtol=0)
        torch.testing.assert_close(a["scores"], b["scores"], atol=1e-3, rtol=0)
    model = tts["onnx"].model
    assert model.max_frames == tts["torch"].model.max_frames == 120
    ours = tts["torch"].speak(TEXTS)
    tokens = [result["tokens"] for result in ours]
    text = [torch.as_tensor(tts["torch"].encode(t)) for t in TEXTS]
    laid = [torch.as_tensor(result["durations"]) for result in ours]
    scores = (one.model.log_likelihood(text, tokens, laid) for one in tts.values())
    torch.testing.assert_close(*scores, atol=1e-3, rtol=0)
    # The torch weights of what the graphs do are gone.
    assert not any("backbone" in name for name, _ in model.named_parameters())


def test_a_pack_is_exported_beside_its_files(
    parts, cache, tmp_path, monkeypatch, capsys
):
    from espnet_fsqdiff.bin.export_onnx import main
    from espnet_fsqdiff.packing import pack
    from espnet_fsqdiff.text2speech import Text2Speech

    archive = str(pack(tmp_path / "tiny.zip", parts[0], "CC0-1.0", "float16"))
    with pytest.raises(InputError, match="onnx.yaml is missing; export the voice"):
        Text2Speech.from_pretrained(archive, backend="onnx")
    main(["--model", archive])
    ours, theirs = (
        Text2Speech.from_pretrained(archive, backend=backend, **OPTIONS)(TEXTS[1])
        for backend in ("torch", "onnx")
    )
    assert torch.equal(ours["tokens"], theirs["tokens"])
    (graphs,) = cache.glob("*/onnx")
    assert len(list(graphs.glob("*.onnx"))) == 4

    # The benchmark, which says the same of longer texts.
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks import onnx

    cmd = f"--model {archive} --onnx_dir {graphs} --seconds 1 --batch_size 2"
    onnx.main([*cmd.split(), "--repeats", "1", "--num_steps", "2"])
    tokens, mel = capsys.readouterr().out.strip().splitlines()[-2:]
    assert tokens.endswith("100 % equal |") and "| 1.0 | 2 | mel |" in mel


def edit(folder, change):
    """Change the manifest."""
    manifest = yaml.safe_load((folder / "onnx.yaml").read_text())
    change(manifest)
    (folder / "onnx.yaml").write_text(yaml.safe_dump(manifest))


def renamed(folder):
    """Put the graph of another signature, digest and all, in a graph's place."""
    shutil.copy(folder / "mel_decoder.onnx", folder / "posterior.onnx")

    def change(manifest):
        graphs = manifest["graphs"]
        graphs["posterior"]["sha256"] = graphs["mel_decoder"]["sha256"]

    edit(folder, change)


def broken(folder):
    """Bytes that are no graph, with their digest."""
    import hashlib

    (folder / "denoiser.onnx").write_bytes(b"no graph")
    digest = hashlib.sha256(b"no graph").hexdigest()
    edit(folder, lambda m: m["graphs"]["denoiser"].update(sha256=digest))


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda d: (d / "onnx.yaml").unlink(), "onnx.yaml is missing; export the voic"),
        (lambda d: (d / "denoiser.onnx").unlink(), "denoiser.onnx is missing; export"),
        (
            lambda d: (d / "posterior.onnx").write_bytes(b"x"),
            r"posterior.onnx is not what was exported \(its SHA-256 differs\)",
        ),
        (renamed, "posterior.onnx: rows is None, not "),
        (broken, "denoiser.onnx: onnxruntime refuses it"),
        (
            lambda d: edit(d, lambda m: m["model"].update(num_codes=81)),
            "model: num_codes is 81, this voice's is 27; export it again",
        ),
        (
            lambda d: edit(d, lambda m: m["sources"].update(model_file="0" * 64)),
            "sources: model_file is 0000",
        ),
        (lambda d: edit(d, lambda m: m.update(version=2)), "version is 2, known is 1"),
        (lambda d: edit(d, lambda m: m.pop("model")), "num_codes is None"),
        (lambda d: edit(d, lambda m: m.pop("graphs")), "text_encoder.onnx is not what"),
        (lambda d: (d / "onnx.yaml").write_text("a: [1"), "onnx.yaml: not yaml"),
        (lambda d: (d / "onnx.yaml").write_text("a: 1"), "no export of this program"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(parts, graphs, damage, message):
    damage(graphs)
    with pytest.raises(InputError, match=message) as caught:
        load(parts[0], backend="onnx", onnx_dir=graphs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(backend="jax"), "backend 'jax' is unknown; choose one of torch, onnx"),
        (dict(backend="onnx"), "backend onnx and onnx_dir go together"),
        (dict(onnx_dir="x"), "backend onnx and onnx_dir go together"),
        (dict(backend="onnx", device="cuda"), "backend onnx runs on the cpu, not on"),
    ],
)
def test_what_does_not_go_together_is_refused(parts, options, message):
    with pytest.raises(InputError, match=message):
        load(parts[0], **options)


def test_what_only_torch_does_is_refused(parts):
    files, graphs = parts
    both = dict(backend="onnx", onnx_dir=graphs)
    with pytest.raises(InputError, match="compile is for backend torch"):
        load(files, compile=True, **both)
    with pytest.raises(InputError, match="precision bfloat16: .* in float32"):
        load(files, precision="bfloat16", **both)("abc")


def test_a_language_model_is_refused():
    from types import SimpleNamespace

    from espnet_fsqdiff.onnx.runtime import use_onnx

    model = SimpleNamespace(ema=SimpleNamespace(network=torch.nn.Linear(1, 1)))
    with pytest.raises(InputError, match="for diffusion decoders, this is a language"):
        use_onnx(model, None, True, "graphs", {})


def test_without_onnxruntime_it_says_what_to_install(parts, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "onnxruntime" else real(name, *rest),
    )
    with pytest.raises(InputError, match=r"pip install 'espnet_fsqdiff\[onnx\]'"):
        load(parts[0], backend="onnx", onnx_dir=parts[1])


def test_a_network_that_does_not_trace_is_refused(tmp_path):
    """A size that a trace takes for a constant is found, and nothing is left."""
    from espnet_fsqdiff.onnx.exporting import export

    network = make_network()
    forward = network.text_encoder.forward

    def of_fixed_size(text, *rest):
        return forward(text, *rest) + sum(range(text.size(1) + 0))

    network.text_encoder.forward = of_fixed_size
    with pytest.raises(InputError, match="text_encoder: its graph differs from torch"):
        export(network, make_tokenizer(), True, tmp_path, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "cmd, message",
    [
        (["--model", "x", "--model_file", "y"], "--model and --model_file: give one"),
        (["--model_file", "y"], "--train_config is not given; give --model, or all"),
        (["--model", "nothing/here.zip"], "no such file, directory or voice"),
    ],
)
def test_the_command_names_what_is_wrong(cmd, message):
    from espnet_fsqdiff.bin.export_onnx import main

    with pytest.raises(InputError, match=message):
        main(cmd)
