"""Packaging, set-up scripts and what may be imported where."""

import ast
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement

import espnet_fsqdiff
from espnet_fsqdiff import espnet_check
from espnet_fsqdiff.errors import InputError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "espnet_fsqdiff"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Raises on every import of what the bare package must do without.
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_python(code, blocked=()):
    """Run code in a fresh interpreter that cannot import the blocked packages."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKER.format(blocked=tuple(blocked)) + code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def run_tool(name, *args, **env):
    return subprocess.run(
        [str(ROOT / "tools" / name), *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


@pytest.fixture(scope="module")
def distribution():
    """The arguments that setup.py gives to setuptools."""
    declared = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", declared.update)
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return declared


def names(requirements):
    return {Requirement(r).name.lower() for r in requirements}


# --- metadata ---------------------------------------------------------------------


def test_version_has_one_source(distribution):
    assert distribution["name"] == "espnet_fsqdiff"
    assert distribution["version"] == espnet_fsqdiff.__version__
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text()).get(
        "project", {}
    )


def test_torch_and_espnet_are_not_required(distribution):
    assert not names(distribution["install_requires"]) & {
        "torch",
        "torchaudio",
        "espnet",
    }


@pytest.mark.parametrize(
    "python, wanted", [("3.11", "202511"), ("3.12", "202611"), ("3.13", "202611")]
)
def test_espnet_extra_fits_python(distribution, python, wanted):
    """Exactly one ESPnet requirement applies to each Python."""
    found = [
        r
        for r in map(Requirement, distribution["extras_require"]["espnet"])
        if r.name == "espnet"
        and (r.marker is None or r.marker.evaluate({"python_version": python}))
    ]
    assert len(found) == 1
    assert wanted in found[0].specifier
    assert ("202711" in found[0].specifier) == (python != "3.11")


def test_all_extras_are_in_all(distribution):
    extras = distribution["extras_require"]
    assert names(extras["all"]) == set().union(*map(names, extras.values()))


def test_style_checkers_are_pinned(distribution):
    pins = {
        r.name: [s.operator for s in r.specifier]
        for r in map(Requirement, distribution["extras_require"]["test"])
    }
    assert pins["black"] == pins["isort"] == pins["flake8"] == ["=="]


def test_console_scripts_exist(distribution):
    for line in distribution["entry_points"]["console_scripts"]:
        module, _, function = line.partition("=")[2].strip().partition(":")
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        assert path.is_file(), f"{line}: no {path}"
        functions = {
            n.name
            for n in ast.parse(path.read_text()).body
            if isinstance(n, ast.FunctionDef)
        }
        assert function in functions, f"{line}: {path} has no {function}()"


def test_every_folder_with_modules_is_packaged(distribution):
    folders = {p.parent for p in MODULES}
    dotted = {".".join(f.relative_to(ROOT).parts) for f in folders}
    assert dotted == set(distribution["packages"])


# --- imports ----------------------------------------------------------------------


def test_bare_import_needs_nothing():
    heavy = ("torch", "torchaudio", "espnet2", "espnet", "numpy", "scipy", "librosa")
    done = run_python(
        "import espnet_fsqdiff; print(espnet_fsqdiff.__version__)", blocked=heavy
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == espnet_fsqdiff.__version__


def test_submodules_come_on_demand():
    done = run_python(
        "import espnet_fsqdiff as e; assert 'espnet_fsqdiff.errors' not in sys.modules;"
        "print(e.errors.InputError.__name__, 'fsq' in dir(e), hasattr(e, 'nonsense'))"
    )
    assert done.stdout.split() == ["InputError", "True", "False"], done.stderr


def test_core_works_without_espnet():
    done = run_python(
        "import espnet_fsqdiff as e; e.fsq; e.diffusion",
        blocked=("espnet2", "espnet", "espnetez", "torchaudio"),
    )
    assert done.returncode == 0, done.stderr


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_espnet_imports_are_allowed_ones(path):
    """Only espnet2, and its trainer and tasks only in tasks/ and bin/."""
    found = set(imported_modules(path))
    tops = {m.partition(".")[0] for m in found}
    assert not tops & {"espnet", "espnetez", "espnet3"}
    if path.relative_to(PACKAGE).parts[0] not in ("tasks", "bin"):
        trainer = ("espnet2.tasks", "espnet2.train.trainer", "espnet2.bin")
        assert not {m for m in found if m.startswith(trainer)}


# --- what a user without ESPnet is told -------------------------------------------


@pytest.mark.parametrize(
    "module, name",
    [("torch", "torch"), ("espnet2", "ESPnet"), ("torchaudio", "torchaudio")],
)
def test_missing_package_is_named(monkeypatch, module, name):
    for other in ("torch", "espnet2", "torchaudio"):
        present = None if other == module else sys  # any module with a spec
        monkeypatch.setitem(sys.modules, other, present)
    with pytest.raises(InputError) as e:
        espnet_check.require_espnet()
    assert str(e.value).startswith(f"{name} is not installed for {sys.executable}")
    assert f"setup_env.sh --python {sys.executable}" in str(e.value)
    assert "\n" not in str(e.value)


def fake_torch(folder, cuda):
    """Lay a torch and a torchaudio that loads only without its library."""
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(
        f"__version__ = '2.13.0'\nclass version:\n    cuda = {cuda!r}\n"
    )
    library = folder / "torchaudio" / "lib" / "_torchaudio.abi3.so"
    library.parent.mkdir(parents=True)
    library.touch()
    (folder / "torchaudio" / "__init__.py").write_text(
        f"import os\nif os.path.exists({str(library)!r}):\n"
        "    raise OSError('libc10_cuda.so: cannot open')\n"
    )
    (folder / "espnet2").mkdir()
    (folder / "espnet2" / "__init__.py").touch()
    return library


def test_unfit_torchaudio_is_one_line_and_mended(tmp_path):
    library = fake_torch(tmp_path, cuda=None)
    check = [
        sys.executable,
        "-c",
        "from espnet_fsqdiff.espnet_check import require_espnet as r; r()",
    ]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(check, env=env, capture_output=True, text=True)
    assert "InputError: torchaudio cannot be imported (libc10_cuda.so" in done.stderr

    mend = [sys.executable, str(ROOT / "tools" / "mend_torchaudio.py")]
    for output in (f"removed {library}\n", ""):  # the second time there is nothing
        done = subprocess.run(mend, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, output), done.stderr
    assert not library.exists()
    assert subprocess.run(check, env=env).returncode == 0


def test_torchaudio_beside_cuda_is_left_alone(tmp_path):
    library = fake_torch(tmp_path, cuda="13.0")
    done = run_tool("mend_torchaudio.py", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("torchaudio does not fit torch 2.13.0")
    assert library.exists()


# --- tools/setup_env.sh -----------------------------------------------------------


@pytest.fixture
def fake_python(tmp_path):
    """A `python` that claims a version and writes down how it was called."""

    def make(path, version):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n'
            f'case "$*" in *version_info*) echo {version} ;; esac\n'
        )
        path.chmod(0o755)
        return path

    return make


def test_unfit_python_is_refused(tmp_path, fake_python):
    for version in ("3.10.4", "3.14.0"):
        python = fake_python(tmp_path / "python", version)
        done = run_tool(
            "setup_env.sh", "--venv", tmp_path / "v", "--base-python", python
        )
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert f"{python} is Python {version}" in done.stderr
    assert not (tmp_path / "v").exists()


def test_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run_tool("setup_env.sh", "--venv", tmp_path)
    assert done.returncode == 1
    assert "no virtual environment" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_setup_is_done_once_and_again_after_a_kill(tmp_path, fake_python):
    """With a stand-in for Python; the real set-up has run before this test did."""
    env, calls = tmp_path / "v", tmp_path / "calls"
    fake_python(env / "bin" / "python", "3.11.7")

    def setup():
        calls.unlink(missing_ok=True)
        done = run_tool("setup_env.sh", "--venv", env)
        assert done.returncode == 0, done.stderr
        return calls.read_text() if calls.exists() else ""

    assert "uv pip install" in setup()
    assert setup() == ""
    (env / ".fsqdiff-setup").write_text("made from other files")
    assert "uv pip install" in setup()
    (env / ".fsqdiff-begun").touch()  # what a killed set-up leaves
    assert "uv pip install" in setup()
    assert setup() == ""
    assert (env / "bin" / "python").exists()  # it was not ours to remove

    (env / ".fsqdiff-begun").touch()
    (env / ".fsqdiff-venv").touch()  # but this one is
    done = run_tool("setup_env.sh", "--venv", env, "--base-python", "/bin/false")
    assert "/bin/false is no working Python" in done.stderr
    assert not env.exists()


def test_failed_install_shows_the_end_of_the_log(tmp_path, fake_python):
    python = fake_python(tmp_path / "v" / "bin" / "python", "3.11.7")
    python.write_text(
        python.read_text() + 'case "$*" in *"pip install"*) echo no net; exit 3;; esac'
    )
    done = run_tool("setup_env.sh", "--venv", tmp_path / "v")
    assert done.returncode == 1
    assert "no net" in done.stderr
    assert f"all of it in {tmp_path}/v/setup.log" in done.stderr
    assert not (tmp_path / "v" / ".fsqdiff-setup").exists()


def test_what_cannot_be_compiled_is_left_out(tmp_path, fake_python):
    python = fake_python(tmp_path / "v" / "bin" / "python", "3.11.7")
    python.write_text(
        python.read_text() + 'case "$*" in *plan_env.py\\ extra*) echo ".[pesq]" ;;\n'
        '*"pip install"*"[pesq]"*) echo no cc; exit 3 ;; esac\n'
    )
    done = run_tool("setup_env.sh", "--venv", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    assert "pesq is left out" in done.stdout and "is ready" in done.stdout
    assert "no cc" in (tmp_path / "v" / "setup.log").read_text()
    assert (tmp_path / "v" / ".fsqdiff-setup").exists()


def test_plan_keeps_apart_what_may_fail(tmp_path):
    def extras(what):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "plan_env.py"), what, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        found = [x for x in done.stdout.splitlines() if x.startswith(".[")]
        return set(found[0][2:-1].split(","))

    assert extras("extra") == {"pesq"}
    assert {"score", "test"} <= extras("uv") and "pesq" not in extras("uv")


def test_models_are_built_without_the_trainer(tmp_path):
    """ESPnet's trainer costs ten seconds of start-up that speaking does not need."""
    pytest.importorskip("espnet2")
    code = """
from espnet_fsqdiff.tasks.decoders import DECODERS
from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerBuilder
from espnet_fsqdiff.tasks.token2mel import Token2MelBuilder
from espnet_fsqdiff.text2speech import Text2Speech
for builder in (*DECODERS.values(), FSQTokenizerBuilder, Token2MelBuilder):
    assert builder.build_model
heavy = [m for m in ("espnet2.tasks.abs_task", "espnet2.train.trainer", "transformers",
                     "nltk", "g2p_en", "matplotlib") if m in sys.modules]
assert not heavy, heavy
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
