"""A trained system in one zip file, and back.

The zip is ESPnet's: `meta.yaml` names the files, and a value of a packed
configuration that equals the name of a packed file becomes that file's path when
it is unpacked. Our own `unpack` trusts nothing in the archive.
"""

import hashlib
import io
import os
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from contextlib import chdir, redirect_stdout
from pathlib import Path, PurePosixPath
from typing import (
    Any,
    Callable,
    Container,
    Dict,
    List,
    Mapping,
    Optional,
    Tuple,
    Union,
)

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

PathLike = Union[str, Path]

FORMAT = "espnet_fsqdiff"
FORMAT_VERSION = 1
MAX_ENTRY_BYTES = 8 * 2**30
MAX_ENTRIES = 1000
MAX_YAML_BYTES = 64 * 2**20

# What a packed file is called, by its role; the roles of configurations end so.
_NAMES = {
    "train_config": "decoder/config.yaml",
    "model_file": "decoder/model.pth",
    "tokenizer_config": "tokenizer/config.yaml",
    "tokenizer_file": "tokenizer/model.pth",
    "duration_file": "duration/duration.yaml",
    "inference_config": "inference/config.yaml",
    "readme": "README.md",
    "package": "package.yaml",
}
PRECISIONS = ("float32", "float16")
_WEIGHTS = ("model_file", "tokenizer_file")
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


def _digest(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _map_strings(value: Any, change: Callable[[str, str], Any], key: str = "") -> Any:
    """Apply `change(key, string)` to every string of nested lists and dicts.

    The symbols of a token list are left as they are: "/" is no path there.
    """
    if isinstance(value, dict):
        return {k: _map_strings(v, change, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if key.rpartition(".")[2] == "token_list":
            return list(value)
        return [_map_strings(v, change, key) for v in value]
    return change(key.lstrip("."), value) if isinstance(value, str) else value


def read_yaml(path: Path) -> Dict[str, Any]:
    """A file of options by name.

    Raises:
        InputError: It is none.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InputError(
            f"{path}: not yaml ({' '.join(str(e).split())}); correct it"
        ) from e
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a configuration; give a yaml file of options")
    return data


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
    return _map_strings(config, change)


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
            `tokenizer_config`, `tokenizer_file`, and if there
            `duration_file`, `inference_config` and `readme` (the model card).
            Relative paths in the configurations start at the working directory.
        licence: Of the training data, and so what may be done with the voice.
        precision: None packs the weights' files as they are, and training can go on
            from them. `float32` and `float16` pack for inference alone, compressed:
            without the trained weights behind a moving average, large tensors in
            this precision. The tokenizer stays whole: its encoder reads prompts, its
            recognition head judges takes and prompts.

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
    with tempfile.TemporaryDirectory() as tmp:
        staged = Path(tmp).resolve()
        packed = {Path(path).resolve(): _NAMES[r] for r, path in files.items()}
        for role, path in files.items():
            target = staged / _NAMES[role]
            if role.endswith("_config"):
                config = _portable(role, Path(path), packed, staged)
                _write_yaml(target, config)
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
            "sha256": {name: _digest(staged / name) for name in sorted(entries)},
        }
        _write_yaml(staged / _NAMES["package"], package)

        # The roles, and every other file by its name, so that meta.yaml has all.
        named = {_NAMES[role]: role for role in [*files, "package"]}
        roles = {named.get(e, e): e for e in sorted(entries | {_NAMES["package"]})}
        yaml_files = {r: e for r, e in roles.items() if r.endswith("_config")}
        plain = {r: e for r, e in roles.items() if r not in yaml_files}
        # ESPnet's function names files relative to the working directory, and
        # prints what it does.
        with atomic_path(outpath) as aside, redirect_stdout(io.StringIO()):
            with chdir(staged):
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
        os.replace(smaller, path)
    finally:
        smaller.unlink(missing_ok=True)


def _check_roles(files: Mapping[str, PathLike]) -> None:
    unknown = set(files) - set(_NAMES)
    if unknown:
        raise ValueError(f"unknown roles: {sorted(unknown)}")
    for role in _REQUIRED:
        if role not in files:
            raise InputError(f"--{role} is not given; the pack needs it")
    for role, path in files.items():
        if not Path(path).is_file():
            raise InputError(f"--{role} {path}: no such file; run its stage")


def _dump(data: Dict[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode()


def _write_yaml(path: Path, data: Dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_dump(data))


def unpack(
    archive: PathLike, outdir: PathLike, max_entry_bytes: int = MAX_ENTRY_BYTES
) -> Dict[str, str]:
    """Unpack what `pack` made, trusting nothing in it.

    Args:
        archive: The zip file.
        outdir: Where its files go; made if missing.
        max_entry_bytes: A larger entry is refused.

    Returns:
        Absolute paths by role (see `pack`; also `package`, which holds versions,
        the licence note and digests).

    Raises:
        InputError: The file is no such pack or is damaged, or an entry would
            leave `outdir`, is a link or is too large. Nothing of such an archive
            is written.
    """
    archive, outdir = Path(archive), Path(outdir).absolute()
    if not archive.is_file():
        raise InputError(f"{archive}: no such file; give a packed model")
    try:
        with zipfile.ZipFile(archive) as z:
            entries = _safe_entries(archive, z, max_entry_bytes)
            roles, yaml_files = _read_meta(archive, z, entries)
            outdir.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=outdir.parent) as tmp:
                for name, info in entries.items():
                    _extract(archive, z, info, Path(tmp) / name)
                _check_digests(archive, Path(tmp), roles)
                for name in yaml_files:
                    _point_into(Path(tmp) / name, outdir, set(entries))
                _move(Path(tmp), outdir, list(entries))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as e:
        raise InputError(
            f"{archive}: not a whole zip file ({e}); fetch or pack it again"
        ) from e
    return {role: str(outdir / name) for role, name in roles.items()}


def _safe_entries(
    archive: Path, z: zipfile.ZipFile, max_entry_bytes: int
) -> Dict[str, zipfile.ZipInfo]:
    """Entries by name; refuses an archive with any that is not a plain file."""
    entries: Dict[str, zipfile.ZipInfo] = {}
    for info in z.infolist():
        name, reason = info.orig_filename, None
        kind = stat.S_IFMT(info.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if info.is_dir() and kind in (0, stat.S_IFDIR):
            continue
        if not parts or name.startswith("/") or any(c in name for c in "\\:\0"):
            reason = "is no relative path"
        elif ".." in parts or str(PurePosixPath(name)) != name:
            reason = "leads out of the folder or is no plain name"
        elif kind not in (0, stat.S_IFREG):
            reason = "is a link or no plain file"
        elif info.file_size > max_entry_bytes:
            reason = f"has {info.file_size} bytes, more than {max_entry_bytes}"
        elif name in entries:
            reason = "is there twice"
        elif len(entries) >= MAX_ENTRIES:
            reason = f"is one of more than {MAX_ENTRIES}"
        if reason is not None:
            raise InputError(
                f"{archive}: entry {name!r} {reason}; do not use this archive"
            )
        entries[name] = info
    for name in entries:
        if any(str(p) in entries for p in PurePosixPath(name).parents):
            raise InputError(
                f"{archive}: entry {name!r} lies below a file; do not use this archive"
            )
    return entries


def _read_meta(
    archive: Path, z: zipfile.ZipFile, entries: Dict[str, zipfile.ZipInfo]
) -> Tuple[Dict[str, str], List[str]]:
    """Names by role, and the names of the configurations."""
    import yaml

    try:
        if entries["meta.yaml"].file_size > MAX_YAML_BYTES:
            raise ValueError("meta.yaml is too large")
        yaml_files, files = _roles_in(z.read("meta.yaml"), entries)
        for name in yaml_files.values():
            if entries[name].file_size > MAX_YAML_BYTES:
                raise ValueError(f"{name} is too large")
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as e:
        reason = " ".join(str(e).split())
        raise InputError(
            f"{archive}: no pack of this program (meta.yaml: {reason}); pack it with "
            "stage 14"
        ) from e
    return {**yaml_files, **files}, list(yaml_files.values())


def _roles_in(meta: bytes, names: Container[str]) -> Tuple[Dict, Dict]:
    """Configurations and other files by role, of the content of a meta.yaml."""
    import yaml

    content = yaml.safe_load(meta)
    yaml_files, files = dict(content["yaml_files"]), dict(content["files"])
    for name in [*yaml_files.values(), *files.values()]:
        if name not in names:
            raise ValueError(f"{name} is missing")
    return yaml_files, files


def _move(source: Path, target: Path, names: List[str]) -> None:
    """Bring files to their place: at once if nothing is there, else one by one."""
    try:
        os.rename(source, target)
        source.mkdir()  # whoever made it will remove it
        target.chmod(0o777 & ~_umask())
    except OSError:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(source / name, target / name)


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def check_unpacked(folder: PathLike) -> Dict[str, str]:
    """Absolute paths by role of a directory that `unpack` has made.

    Raises:
        InputError: It is none, or a file is missing or not what was packed.
    """
    import yaml

    folder = Path(folder).absolute()
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    try:
        yaml_files, files = _roles_in((folder / "meta.yaml").read_bytes(), there)
        package = read_yaml(folder / files["package"])
        digests = dict(package["sha256"])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as e:
        reason = " ".join(str(e).split())
        raise InputError(
            f"{folder}: no unpacked voice ({reason}); give one, or its zip"
        ) from None
    check_version(folder, package)
    roles = {**yaml_files, **files}
    for name in sorted(set(roles.values()) - {files["package"]}):
        content = (folder / name).read_bytes()
        if digests.get(name) == hashlib.sha256(content).hexdigest():
            continue
        if name in yaml_files.values():
            # Names of packed files have become paths: as they were before.
            start = f"{folder}/"
            config = _map_strings(
                read_yaml(folder / name), lambda _, v: v.removeprefix(start)
            )
            if digests.get(name) == hashlib.sha256(_dump(config)).hexdigest():
                continue
        raise InputError(
            f"{folder / name} is not what was packed (its SHA-256 differs); unpack "
            "it again"
        )
    return {role: str(folder / name) for role, name in roles.items()}


def check_version(where: PathLike, package: Dict[str, Any]) -> None:
    """Refuse a pack of another program or of a later version of this one.

    Raises:
        InputError: As said.
    """
    if package.get("format") != FORMAT:
        raise InputError(f"{where}: no pack of this program; make it in stage 14")
    if package.get("version") not in range(1, FORMAT_VERSION + 1):
        raise InputError(
            f"{where}: packed in format {package.get('version')}, known up to "
            f"{FORMAT_VERSION}; take a newer version of this package"
        )


def _extract(
    archive: Path, z: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with z.open(info) as source, open(target, "wb") as f:
        # The directory may promise less than there is.
        while block := source.read(2**20):
            left -= len(block)
            if left < 0:
                raise InputError(
                    f"{archive}: entry {info.filename!r} is larger than it says; do "
                    "not use this archive"
                )
            f.write(block)


def _check_digests(archive: Path, folder: Path, roles: Dict[str, str]) -> None:
    if "package" not in roles:
        return
    package = read_yaml(folder / roles["package"])
    check_version(archive, package)
    digests = package.get("sha256")
    for name in sorted(set(roles.values()) - {roles["package"]}):
        if not isinstance(digests, dict) or digests.get(name) != _digest(folder / name):
            raise InputError(
                f"{archive}: {name} is not what was packed (its SHA-256 differs); "
                "fetch or pack it again"
            )


def _point_into(path: Path, outdir: Path, names: set) -> None:
    """Make the names of packed files in a configuration paths in `outdir`."""
    config = _map_strings(
        read_yaml(path), lambda _, v: str(outdir / v) if v in names else v
    )
    _write_yaml(path, config)
