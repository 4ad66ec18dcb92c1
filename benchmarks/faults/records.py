"""What happened, a line of JSON each, so that a long run can be broken off."""

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List

from benchmarks.faults.verdict import GOOD
from benchmarks.tables import table


class Records:
    """Results in a file, appended to.

    Args:
        path: The file; a line that was torn off is dropped.
    """

    def __init__(self, path: Path):
        self.path = path
        self.all: List[Dict[str, Any]] = []
        if path.exists():
            whole = path.read_text(encoding="utf-8").split("\n")[:-1]
            self.all = [json.loads(line) for line in whole]
            path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")

    def add(self, **record: Any) -> None:
        """Keep one result."""
        self.all.append(record)
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")

    def of(self, part: str) -> List[Dict[str, Any]]:
        """The results of one part."""
        return [record for record in self.all if record["part"] == part]

    def has(self, part: str, key: str) -> bool:
        """Whether a part has the result called `key`."""
        return any(record["key"] == key for record in self.of(part))


def summary(records: Records, names: Dict[int, str]) -> Iterator[str]:
    """Markdown: kills by stage, then full disks and damage case by case.

    Args:
        records: The results.
        names: Of the stages.
    """
    kills = records.of("kill")
    if kills:
        alone = {int(r["key"]): r["seconds"] for r in records.of("measure")}
        yield from table(
            "stage|kills|in a row, at most|recovered|equal outputs|s undisturbed|"
            "s of the last run, median",
            _kill_rows(kills, names, alone),
        )
    for part, heads in (
        ("disk", "stage, disk full|outcome|message"),
        ("damage", "stage, fault|outcome|message"),
    ):
        found = records.of(part)
        if found:
            yield from table(f"{part}, stage|cases|outcomes", _counts(found, names))
            yield from table(
                heads, ([r["key"], r["outcome"], _cell(r["message"])] for r in found)
            )


def failures(records: Records) -> List[str]:
    """Names of what did not end as it should."""
    wrong = [r["key"] for r in records.of("kill") if not r["equal"]]
    others = records.of("disk") + records.of("damage")
    return wrong + [r["key"] for r in others if r["outcome"] not in GOOD]


def _counts(found: List[Dict[str, Any]], names: Dict[int, str]) -> Iterator[list]:
    """How often each outcome was had, by stage."""
    for stage in sorted({record["stage"] for record in found}):
        mine = Counter(r["outcome"] for r in found if r["stage"] == stage)
        said = ", ".join(f"{n} {outcome}" for outcome, n in mine.most_common())
        yield [f"{stage} {names[stage]}", str(mine.total()), said]


def _kill_rows(
    kills: List[Dict[str, Any]], names: Dict[int, str], alone: Dict[int, float]
) -> Iterator[list]:
    stages = sorted({record["stage"] for record in kills})
    for stage in (*stages, None):
        mine = [r for r in kills if stage in (None, r["stage"])]
        count = sum(r["kills"] for r in mine)
        row = [f"{stage} {names[stage]}" if stage else "all", str(count)]
        row.append(str(max(r["kills"] for r in mine)))
        row.append(_of(mine, count, "recovered"))
        row.append(_of(mine, count, "equal"))
        row.append(f"{alone[stage]:.1f}" if stage else "")
        last = [r["seconds"] for r in mine]
        row.append(f"{statistics.median(last):.1f}" if stage else "")
        yield row


def _of(mine: List[Dict[str, Any]], count: int, what: str) -> str:
    return f"{sum(r['kills'] for r in mine if r[what])} of {count}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
