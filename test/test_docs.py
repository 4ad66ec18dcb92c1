"""What is written for readers: links lead somewhere, the README's Python lines run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACES = ("*.md", "docs/*.md", "benchmarks/*.md", "conf/*.md", "egs/*.md")
PAGES = [
    path
    for pattern in (*PLACES, "egs/*/*/README.md")
    for path in sorted(ROOT.glob(pattern))
]


def anchors(page):
    """GitHub's names of the headings."""
    return {
        re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings(page)
    }


def headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_heading_comes_once(page):
    assert len(set(headings(page))) == len(headings(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


def test_the_core_of_the_readme_runs_as_it_is_printed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (core,) = [block for block in blocks if "uniform_times" in block]
    said = subprocess.run(
        [sys.executable, "-c", core],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "tensor([[   0, 3280, 6560]])\n"


def test_a_recipe_of_ones_own_begins_as_the_readme_says(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("### Your own corpus")[1]
    (line,) = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1].splitlines()
    for name in ("kathleen", "TEMPLATE"):
        shutil.copytree(
            ROOT / "egs" / name,
            tmp_path / "egs" / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "dump", "exp"),
        )
    (tmp_path / "egs/kathleen/tts1/exp").mkdir()
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert not (tmp_path / "egs/mine/tts1/exp").exists()
    said = subprocess.run(
        ["egs/mine/tts1/run.sh", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Stages:" in said.stdout
