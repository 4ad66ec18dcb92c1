"""Packed voices: where they are found, how they are unpacked and what they ask for."""

import dataclasses
import hashlib
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Union

import espnet_fsqdiff
from espnet_fsqdiff.chain_options import (
    CHAIN_ROLES,
    TOKEN2MEL_OPTIONS,
    VOCODER_OPTIONS,
)
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.unpacking import check_unpacked, unpack
from espnet_fsqdiff.yaml_files import read_yaml

CACHE_VARIABLE = "ESPNET_FSQDIFF_CACHE"
MAX_CARD_BYTES = 2**20
# Files without which a voice cannot speak, by role.
NEEDED = (
    "train_config",
    "model_file",
    "tokenizer_config",
    "tokenizer_file",
    "duration_file",
)
# Options of a pack's inference configuration that are no options of sampling.
OPTIONS = (
    "vocoder",
    "vocoder_conf",
    "token2mel_conf",
    "batch_size",
    "speed",
    "seed",
    "compile",
    "normalizer",
    "check_prompts",
)


class Voice(NamedTuple):
    """A packed voice that came with the package.

    Attributes:
        name: What `Text2Speech.from_pretrained` takes.
        path: The pack.
        card: Its model card, Markdown; empty if it has none.
    """

    name: str
    path: Path
    card: str


def voices() -> List[Voice]:
    """Voices in the box, by name: package data and those of the recipes."""
    package = Path(espnet_fsqdiff.__file__).resolve().parent
    found = [
        *package.glob("voices/*.zip"),
        *package.parent.glob("egs/*/tts1/pretrained/*.zip"),
    ]
    # Of two with one name the package's own comes first.
    by_name = {path.stem: path for path in reversed(found)}
    return [Voice(name, path, _card(path)) for name, path in sorted(by_name.items())]


def _card(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as z, z.open("README.md") as f:
            return f.read(MAX_CARD_BYTES).decode("utf-8", "replace")
    except (KeyError, zipfile.BadZipFile):
        return ""


def load_options(
    path_or_tag: Union[str, Path], options: Dict[str, Any]
) -> Dict[str, Any]:
    """What `Text2Speech.from_files` takes to load a voice.

    Args:
        path_or_tag: See `Text2Speech.from_pretrained`.
        options: Go before those of the pack.

    Raises:
        InputError: If there is no such voice, it is damaged, or the pack asks for
            what is unknown.
    """
    roles = find_files(path_or_tag)
    config: Dict[str, Any] = {}
    if "inference_config" in roles:
        config = read_yaml(Path(roles["inference_config"]))
        from espnet_fsqdiff.diffusion import Sampling
        from espnet_fsqdiff.lm import LMSampling

        sampling = [
            field.name
            for kind in (Sampling, LMSampling)
            for field in dataclasses.fields(kind)
        ]
        unknown = sorted(set(config) - {*OPTIONS, *sampling})
        if unknown:
            raise InputError(
                f"{roles['inference_config']}: option {unknown[0]} is unknown; take "
                "the version of this package that made the pack, or pack it again"
            )
    for role in NEEDED:
        if role not in roles:
            raise InputError(f"{path_or_tag}: the pack has no {role}; pack it again")
    files = {role: roles[role] for role in NEEDED}
    config = _with_chain(config, roles, options)
    return {**config, **options, **files}


def _with_chain(
    config: Mapping[str, Any], roles: Mapping[str, str], options: Mapping[str, Any]
) -> Dict[str, Any]:
    """Add a pack's files from tokens to waves, where users have none of their own."""
    found = {CHAIN_ROLES[role]: roles[role] for role in CHAIN_ROLES if role in roles}
    config = {**config, **found}
    if "vocoder_file" in found:
        config.setdefault("vocoder", "trained")
    if {"token2mel_config", "token2mel_file"} & set(options):
        for name in TOKEN2MEL_OPTIONS:
            config.pop(name, None)
    own = config.get("vocoder", "griffin_lim")
    if options.get("vocoder", own) != own or "vocoder_file" in options:
        for name in VOCODER_OPTIONS:
            config.pop(name, None)
    return config


def default_onnx_dir(files: Mapping[str, str]) -> Path:
    """Where the graphs of a voice are, given its files by role."""
    # <voice>/decoder/config.yaml
    return Path(files["train_config"]).parents[1] / "onnx"


def find_files(path_or_tag: Union[str, Path]) -> Dict[str, str]:
    """Absolute paths of a voice's files by role, every digest checked.

    Raises:
        InputError: If there is no such voice or it is damaged.
    """
    path = Path(path_or_tag)
    if os.path.isdir(path):
        return check_unpacked(path)
    if os.path.isfile(path):
        return unpack_once(path)
    in_box = {voice.name: voice.path for voice in voices()}
    if str(path_or_tag) in in_box:
        return unpack_once(in_box[str(path_or_tag)])
    parts = str(path_or_tag).split("/")
    looks_like_path = isinstance(path_or_tag, Path) or path.suffix == ".zip"
    if len(parts) == 2 and all(parts) and parts[0] != ".." and not looks_like_path:
        return unpack_once(fetch(str(path_or_tag)))
    raise InputError(
        f"{path_or_tag}: no such file, directory or voice; voices in the box: "
        f"{', '.join(in_box) or 'none'}"
    )


def fetch(tag: str) -> Path:
    """Download the one packed zip of a repository of the Hugging Face Hub.

    Raises:
        InputError: huggingface_hub is not installed, or the Hub has no such pack.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError:
        raise InputError(
            f"{tag}: no such file here, and a tag of the Hub needs huggingface_hub; "
            "pip install huggingface_hub"
        ) from None
    try:
        zips = [n for n in HfApi().list_repo_files(tag) if n.endswith(".zip")]
        if len(zips) == 1:
            return Path(hf_hub_download(tag, zips[0]))
    # The network's errors come from another library in every version of the Hub's.
    except Exception as e:
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise InputError(
            f"{tag}: no such file here, and from the Hub: {reason}; check the name "
            "and the network"
        ) from e
    raise InputError(f"{tag}: the Hub has {len(zips)} zips there, not one pack")


def cache_dir() -> Path:
    """Where packs are unpacked: `$ESPNET_FSQDIFF_CACHE` or ~/.cache/espnet_fsqdiff.

    Raises:
        InputError: If others could write there: what is unpacked is trusted.
    """
    home = os.environ.get(CACHE_VARIABLE)
    path = Path(home) if home else Path.home() / ".cache" / "espnet_fsqdiff"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = path.stat()
    except OSError as e:
        raise InputError(
            f"{path}: cannot keep voices there ({e.strerror}); set {CACHE_VARIABLE} "
            "to a directory of yours"
        ) from None
    others = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if state.st_uid != os.getuid() or others:
        raise InputError(
            f"{path}: others can write there; set {CACHE_VARIABLE} to a directory of "
            "yours alone (chmod go-w)"
        )
    return path.resolve()


def unpack_once(archive: Path) -> Dict[str, str]:
    """Unpack a zip into the cache, or find it there; see `unpack`."""
    with open(archive, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    folder = cache_dir() / digest
    if folder.is_dir():
        try:
            return check_unpacked(folder)
        except InputError:
            pass  # half written or damaged: once more
    return unpack(archive, folder)
