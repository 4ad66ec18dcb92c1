"""Options against annotations."""

from pathlib import Path
from typing import Any, Dict, Literal, Optional, Sequence, Tuple, Union

import numpy as np
import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import check_options, described, fits


@pytest.mark.parametrize(
    "hint, good, bad",
    [
        (int, [0, -3, np.int64(5)], [True, 1.0, "1", None, 2**63, [1]]),
        (float, [0, -1.5, np.float32(2)], [True, "1e-3", float("nan"), 10**400]),
        (bool, [True, False], [0, 1, "true", None]),
        (str, ["", "a"], [1, None, ["a"]]),
        (Path, ["a", Path("a")], [1, None]),
        (Optional[int], [None, 1], ["", 0.5]),
        (int | None, [None, 1], ["", 0.5]),
        (Union[int, str], [1, "16k"], [0.5, None]),
        (Sequence[int], [[], [1, 2], (3,)], [1, "12", [1.5], [[1]], {1: 2}]),
        (Tuple[float, float], [[0, 1], (0.5, 1.0)], [[0], [0, 1, 2], 1, ["a", 0]]),
        (Tuple[int, ...], [[], [1, 2, 3]], [["a"]]),
        (Dict[str, Any], [{}, {"a": 1}], [[], None, "a"]),
        (Literal["a", "b"], ["a"], ["c", None]),
        (Any, [None, 1, []], []),
    ],
)
def test_fits(hint, good, bad):
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)
    assert described(hint)


class Part:
    def __init__(self, size: int, dim: int = 4, rates: Sequence[float] = (0.5,)):
        pass


def test_options_are_named_with_what_holds_them():
    for conf, message in (
        ({"width": 1}, "part_conf: Part has no option width; it has dim, rates"),
        ({"size": 1}, "part_conf: Part has no option size"),
        ({7: 1}, "part_conf: Part has no option 7"),
        ({"dim": "4"}, "part_conf: dim is '4'; give a whole number"),
        ({"rates": ["x" * 500]}, r"rates is \['x+\.\.\.; give a list of a number"),
        (None, "part_conf is None; give options by name"),
    ):
        with pytest.raises(InputError, match=message):
            check_options("part_conf", Part, conf, given=["size"])
    conf = {"dim": 8, "rates": [0, 1.5]}
    assert check_options("part_conf", Part, conf, given=["size"]) is conf


def test_a_function_that_takes_any_option_gets_it():
    def make(dim: int = 1, **others):
        pass

    assert check_options("conf", make, {"unknown": []}) == {"unknown": []}
    with pytest.raises(InputError, match="dim is 0.5"):
        check_options("conf", make, {"dim": 0.5})
