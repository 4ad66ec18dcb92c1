"""Packed voices unpacked: nothing in the archive is trusted, all of it is checked."""

import errno
import hashlib
import os
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Container, Dict, List, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.yaml_files import MAX_BYTES, load_yaml, read_yaml

PathLike = Union[str, Path]

FORMAT = "espnet_fsqdiff"
FORMAT_VERSION = 1
MAX_ENTRY_BYTES = 8 * 2**30
MAX_ENTRIES = 1000
# Weights hardly shrink: what grows more is made to fill the disk.
MAX_GROWTH = 50
MAX_SMALL_BYTES = 64 * 2**20  # together, whatever the growth


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def map_strings(value: Any, change: Callable[[str, str], Any], key: str = "") -> Any:
    """Apply `change(key, string)` to every string of nested lists and dicts.

    The symbols of a token list are left as they are: "/" is no path there.
    """
    if isinstance(value, dict):
        return {k: map_strings(v, change, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if key.rpartition(".")[2] == "token_list":
            return list(value)
        return [map_strings(v, change, key) for v in value]
    return change(key.lstrip("."), value) if isinstance(value, str) else value


def dump_yaml(data: Dict[str, Any]) -> bytes:
    """Options as the content of a file."""
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode()


def write_yaml(path: Path, data: Dict[str, Any]) -> None:
    """Write options to a file, whose folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dump_yaml(data))


def unpack(
    archive: PathLike, outdir: PathLike, max_entry_bytes: int = MAX_ENTRY_BYTES
) -> Dict[str, str]:
    """Unpack what `packing.pack` made, trusting nothing in it.

    Args:
        archive: The zip file.
        outdir: Where its files go; made if missing.
        max_entry_bytes: A larger entry is refused.

    Returns:
        Absolute paths by role (see `packing.pack`; also `package`, which holds
        versions, the licence and digests).

    Raises:
        InputError: The file is no such pack or is damaged, or an entry would
            leave `outdir`, is a link or is too large. Nothing of such an archive
            is written.
    """
    archive, outdir = Path(archive), Path(outdir).absolute()
    if not archive.is_file():
        raise InputError(f"{archive}: no such file; give a packed model")
    try:
        with _opened(archive) as z:
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
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as e:
        # Places outside of the file, and names that are too long.
        if isinstance(e, OSError) and e.errno not in (
            errno.EINVAL,
            errno.ENAMETOOLONG,
        ):
            raise
        raise _not_whole(archive, e) from e
    return {role: str(outdir / name) for role, name in roles.items()}


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    # A directory of odd bytes leads zipfile to errors of many kinds.
    except Exception as e:
        raise _not_whole(archive, e) from e


def _not_whole(archive: Path, reason: Exception) -> InputError:
    return InputError(
        f"{archive}: not a whole zip file ({' '.join(str(reason).split())}); fetch or "
        "pack it again"
    )


def _safe_entries(
    archive: Path, z: zipfile.ZipFile, max_entry_bytes: int
) -> Dict[str, zipfile.ZipInfo]:
    """Entries by name; refuses an archive with any that is not a plain file."""
    entries: Dict[str, zipfile.ZipInfo] = {}
    for info in z.infolist():
        name, reason = info.orig_filename, None
        kind = stat.S_IFMT(info.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if name.endswith("/") and kind in (0, stat.S_IFDIR):
            continue
        if not parts or name.startswith("/") or any(c in name for c in "\\:\0"):
            reason = "is no relative path"
        elif ".." in parts or str(PurePosixPath(name)) != name:
            reason = "leads out of the folder or is no plain name"
        elif kind not in (0, stat.S_IFREG):
            reason = "is a link or no plain file"
        elif info.file_size > max_entry_bytes:
            reason = f"has {info.file_size} bytes, more than {max_entry_bytes}"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            reason = f"is compressed by method {info.compress_type}, not deflated"
        elif name in entries:
            reason = "is there twice"
        elif len(entries) >= MAX_ENTRIES:
            reason = f"is one of more than {MAX_ENTRIES}"
        if reason is not None:
            raise InputError(
                f"{archive}: entry {name!r} {reason}; do not use this archive"
            )
        entries[name] = info
    total = sum(info.file_size for info in entries.values())
    if total > max(MAX_SMALL_BYTES, MAX_GROWTH * archive.stat().st_size):
        raise InputError(
            f"{archive}: it would grow to {total} bytes, more than {MAX_GROWTH} times "
            "its own size; do not use this archive"
        )
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
    try:
        if entries["meta.yaml"].file_size > MAX_BYTES:
            raise ValueError("meta.yaml is too large")
        yaml_files, files = _roles_in(z.read("meta.yaml"), entries)
        for name in yaml_files.values():
            if entries[name].file_size > MAX_BYTES:
                raise ValueError(f"{name} is too large")
    except (KeyError, TypeError, ValueError) as e:
        reason = " ".join(str(e).split())
        raise InputError(
            f"{archive}: no pack of this program (meta.yaml: {reason}); pack it with "
            "stage 14"
        ) from e
    return {**yaml_files, **files}, list(yaml_files.values())


def _roles_in(meta: bytes, names: Container[str]) -> Tuple[Dict, Dict]:
    """Configurations and other files by role, of the content of a meta.yaml."""
    content = load_yaml(meta, "meta.yaml")
    yaml_files, files = dict(content["yaml_files"]), dict(content["files"])
    for name in [*yaml_files.values(), *files.values()]:
        if name not in names:
            raise ValueError(f"{name} is missing")
    return yaml_files, files


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
    known = package.get("sha256")
    for name in sorted(set(roles.values()) - {roles["package"]}):
        if not isinstance(known, dict) or known.get(name) != digest(folder / name):
            raise InputError(
                f"{archive}: {name} is not what was packed (its SHA-256 differs); "
                "fetch or pack it again"
            )


def _point_into(path: Path, outdir: Path, names: set) -> None:
    """Make the names of packed files in a configuration paths in `outdir`."""
    config = map_strings(
        read_yaml(path), lambda _, v: str(outdir / v) if v in names else v
    )
    write_yaml(path, config)


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
    folder = Path(folder).absolute()
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    try:
        yaml_files, files = _roles_in((folder / "meta.yaml").read_bytes(), there)
        package = read_yaml(folder / files["package"])
        digests = dict(package["sha256"])
    except (OSError, KeyError, TypeError, ValueError) as e:
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
            config = map_strings(
                read_yaml(folder / name), lambda _, v: v.removeprefix(start)
            )
            if digests.get(name) == hashlib.sha256(dump_yaml(config)).hexdigest():
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
