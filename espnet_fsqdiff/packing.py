"""A trained system in one zip file.

The zip is ESPnet's: `meta.yaml` names the files, and a value of a packed
configuration that equals the name of a packed file becomes that file's path when
it is unpacked, see `unpacking`.
"""

import io
import shutil
import sys
import zipfile
from contextlib import chdir, redirect_stdout
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Mapping, Optional

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path, parts_beside
from espnet_fsqdiff.unpacking import (
    FORMAT,
    FORMAT_VERSION,
    PathLike,
    digest,
    map_strings,
    unpack,
    write_yaml,
)
from espnet_fsqdiff.yaml_files import read_yaml

__all__ = ["PRECISIONS", "pack", "unpack"]

# What a packed file is called, by its role; the roles of configurations end so.
_NAMES = {
    "train_config": "decoder/config.yaml",
    "model_file": "decoder/model.pth",
    "tokenizer_config": "tokenizer/config.yaml",
    "tokenizer_file": "tokenizer/model.pth",
    "token2mel_config": "token2mel/config.yaml",
    "token2mel_file": "token2mel/model.pth",
    "vocoder_config": "vocoder/config.yaml",
    "vocoder_file": "vocoder/model.pth",
    "duration_file": "duration/duration.yaml",
    "inference_config": "inference/config.yaml",
    "readme": "README.md",
    "package": "package.yaml",
}
PRECISIONS = ("float32", "float16")
_WEIGHTS = ("model_file", "tokenizer_file", "token2mel_file", "vocoder_file")
# Only both of them, or none.
_PAIRS = (("token2mel_config", "token2mel_file"), ("vocoder_config", "vocoder_file"))
_REQUIRED = ("train_config", "model_file", "tokenizer_config", "tokenizer_file")
# Entries of a training configuration that inference does not look at and that
# name files or machines of the training.
_TRAINING_ONLY = (
    "config",
    "output_dir",
    "dist_init_method",
    "dist_master_addr",
    "train_data_path_and_name_and_type",
    "valid_data_path_and_name_and_type",
    "train_shape_file",
    "valid_shape_file",
    "init_param",
    "pretrain_path",
    "wandb_project",
    "wandb_id",
    "wandb_entity",
    "wandb_name",
)


def _portable(
    role: str, path: Path, packed: Dict[Path, str], staged: Path
) -> Dict[str, Any]:
    """A configuration without paths of this machine.

    A value that names a file is replaced by the file's name in the pack, and the
    file is packed too (added to `packed` and copied below `staged`).
    """
    folder = PurePosixPath(_NAMES[role]).parent / "files"

    def change(key: str, value: str) -> str:
        # One word is a choice by name, even where a file is called so.
        is_path = "/" in value or "." in value
        if not is_path or len(value) > 4096 or "\0" in value:
            return value
        file = Path(value)
        if file.is_file():
            file = file.resolve()
            if file not in packed:
                name = str(folder / f"{len(packed)}_{file.name}")
                _copy(file, staged / name)
                packed[file] = name
            return packed[file]
        if file.is_absolute() or ("/" in value and file.is_dir()):
            raise InputError(
                f"{path}: {key} names {value}, which is no file that could be packed; "
                "remove or correct it"
            )
        return value

    config = read_yaml(path)
    for key in _TRAINING_ONLY:
        if key in config:
            config[key] = [] if isinstance(config[key], list) else None
    return map_strings(config, change)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _versions() -> Dict[str, Optional[str]]:
    from importlib import metadata

    import espnet_fsqdiff

    versions = {"espnet_fsqdiff": espnet_fsqdiff.__version__}
    versions["python"] = sys.version.split()[0]
    for name in ("espnet", "torch", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def pack(
    outpath: PathLike,
    files: Mapping[str, PathLike],
    licence: str,
    precision: Optional[str] = None,
) -> Path:
    """Write everything that inference needs into one zip file.

    Args:
        outpath: The zip file.
        files: Files by role: `train_config`, `model_file` (text to tokens),
            `tokenizer_config`, `tokenizer_file`, and if there `token2mel_config`,
            `token2mel_file`, `vocoder_config`, `vocoder_file`, `duration_file`,
            `inference_config` and `readme` (the model card). Relative paths in the
            configurations start at the working directory. With a vocoder packed, the
            voice speaks through it, whichever `inference_config` names.
        licence: Of the training data, and so what may be done with the voice.
        precision: None packs the weights' files as they are, and training can go on
            from them. `float32` and `float16` pack for inference alone, compressed:
            without the trained weights behind a moving average, large tensors in
            this precision, a vocoder without its discriminators. The tokenizer stays
            whole: its encoder reads prompts, its recognition head judges takes and
            prompts.

    Returns:
        `outpath`.

    Raises:
        InputError: A file is missing, or a configuration names what cannot be
            packed.
    """
    from espnet2.main_funcs.pack_funcs import pack as espnet_pack

    outpath = Path(outpath).absolute()
    if outpath.suffix != ".zip":
        raise InputError(f"{outpath}: call the pack *.zip")
    if not licence or not licence.strip():
        raise InputError(
            "--licence is empty; state that of the training data, such as CC0-1.0, or "
            "that it is unknown"
        )
    if precision not in (None, *PRECISIONS):
        raise InputError(
            f"--precision {precision} is unknown; choose {' or '.join(PRECISIONS)}"
        )
    _check_roles(files)
    with atomic_path(outpath) as aside, parts_beside(aside) as staged:
        staged = staged.resolve()
        packed = {Path(path).resolve(): _NAMES[r] for r, path in files.items()}
        for role, path in files.items():
            target = staged / _NAMES[role]
            if role.endswith("_config"):
                config = _portable(role, Path(path), packed, staged)
                if role == "inference_config" and "vocoder_file" in files:
                    config["vocoder"] = "trained"
                    config.pop("vocoder_conf", None)
                write_yaml(target, config)
            elif precision is not None and role in _WEIGHTS:
                _write_weights(Path(path), target, precision)
            else:
                _copy(Path(path), target)
        entries = {str(p.relative_to(staged)) for p in staged.rglob("*") if p.is_file()}
        package = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "licence": licence,
            "precision": precision,
            "versions": _versions(),
            "sha256": {name: digest(staged / name) for name in sorted(entries)},
        }
        write_yaml(staged / _NAMES["package"], package)

        # The roles, and every other file by its name, so that meta.yaml has all.
        named = {_NAMES[role]: role for role in [*files, "package"]}
        roles = {named.get(e, e): e for e in sorted(entries | {_NAMES["package"]})}
        yaml_files = {r: e for r, e in roles.items() if r.endswith("_config")}
        plain = {r: e for r, e in roles.items() if r not in yaml_files}
        # ESPnet's function names files relative to the working directory, and
        # prints what it does.
        with redirect_stdout(io.StringIO()), chdir(staged):
            espnet_pack(files=plain, yaml_files=yaml_files, outpath=aside)
        if precision is not None:
            _compress(aside)
    return outpath


def _write_weights(source: Path, target: Path, precision: str) -> None:
    import torch

    from espnet_fsqdiff.states import for_inference, read_states

    target.parent.mkdir(parents=True, exist_ok=True)
    states = read_states(source, "train the model")
    torch.save(for_inference(states, precision), target)


def _compress(path: Path) -> None:
    """Write a zip anew, its entries deflated (ESPnet stores them)."""
    smaller = path.with_suffix(".deflated")
    try:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(smaller, "w") as new:
            for info in old.infolist():
                content = old.read(info)
                new.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=9)
        # Into the file itself, which is locked.
        shutil.copyfile(smaller, path)
    finally:
        smaller.unlink(missing_ok=True)


def _check_roles(files: Mapping[str, PathLike]) -> None:
    unknown = set(files) - set(_NAMES)
    if unknown:
        raise ValueError(f"unknown roles: {sorted(unknown)}")
    for role in _REQUIRED:
        if role not in files:
            raise InputError(f"--{role} is not given; the pack needs it")
    for pair in _PAIRS:
        missing = [role for role in pair if role not in files]
        if len(missing) == 1:
            raise InputError(
                f"--{missing[0]} is not given; --{pair[0]} and "
                f"--{pair[1]} go together"
            )
    for role, path in files.items():
        if not Path(path).is_file():
            raise InputError(f"--{role} {path}: no such file; run its stage")
