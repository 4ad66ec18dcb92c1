"""Strategies that several targets share: texts, damaged bytes, values, yaml."""

import copy
from typing import Any, Dict, List, Tuple

from hypothesis import strategies as st

PIECES = (
    *"aAzZ.,!?;:'\"-()[]{}<>/\\@#$%^&*_=+|~`\t\n\r\v\f",
    *("\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\u200d"),
    *("\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\ufffe", "\uffff"),
    *("\u0301", "a\u0301\u0302\u0303" * 5, "\u1e9e", "\u0130", "\ufb03", "\u2167"),
    *(
        "\U0001f600",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1e9\U0001f1ea",
    ),
    *("0", "1", "007", "3.14", "-5", "1e400", "0x1f", "1,000,000", "1,2,3", "1.2.3.4"),
    *(
        "9" * 50,
        "9" * 5000,
        "0." + "3" * 400,
        "1" + "0" * 306,
        "\u0663\u0664",
        "\u00bd",
    ),
    *(
        "\u00b2\u00b3",
        "\uff11\uff12",
        "\u4e00\u4e8c",
        "1/2",
        "0/0",
        "7/3/2020",
        "2020-02-30",
    ),
    *("25:61", "12:00", "00:00:00", "9pm", "1st", "22nd", "112th", "1990s", "'90s"),
    *(
        "$5",
        "$1,234.56",
        "\u20ac0.99",
        "\u00a3" + "9" * 30,
        "$",
        "5%",
        "1e5%",
        "100km/h",
    ),
    *(
        "-40\u00b0C",
        "#1",
        "No. 5",
        "Dr.",
        "e.g.",
        "etc.",
        "Mr. Smith",
        "U.S.A.",
        "Ph.D.",
    ),
    *("XIV", "IV", "MMXX", "A&B", "C++", "R2D2", "x=y", "http://a.b/c?d=e#f", "a@b.co"),
    *("www.", "C:\\x", "/dev/null", "../..", "<sos/eos>", "<space>", "<blank>", "%s%n"),
    *(
        "{0}",
        "${HOME}",
        "`id`",
        "hello",
        "the cat sat",
        "it's",
        "don't",
        "rock 'n' roll",
    ),
    *(
        "\u0417\u0434\u0440\u0430\u0432\u0441\u0442\u0432\u0443\u0439",
        "\u0645\u0631\u062d\u0628\u0627",
    ),
    *(
        "\u4f60\u597d",
        "\u3053\u3093",
        "\ud55c\uad6d",
        "na\u00efve",
        "stra\u00dfe",
        "\u0e2a\u0e27",
    ),
    *("\ud800", "\udfff", "a\udcffb", "\u2026", "\u2014", "\u201chi\u201d", "x" * 300),
)
WORDS = ("hello", "a", "so,", "it's", "said.", "Two", "words!", "then;", "no?")


def texts(most: int = 20000) -> st.SearchStrategy[str]:
    """Texts of all kinds.

    Args:
        most: Characters of the longest.
    """
    pieces = st.lists(
        st.one_of(
            st.sampled_from(PIECES),
            st.sampled_from(WORDS),
            st.text(st.characters(codec="utf-8"), max_size=8),
            st.integers().map(str),
            st.floats().map(str),
            st.decimals(allow_nan=False).map(str),
            st.dates().map(str),
            st.times().map(str),
        ),
        max_size=12,
    )
    joined = st.tuples(pieces, st.sampled_from(["", " ", " ", "\n", ". "])).map(
        lambda pair: pair[1].join(pair[0])
    )
    spoken = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
    short = st.one_of(joined, spoken, st.text(max_size=60))
    repeated = st.tuples(short, st.integers(2, 3000)).map(lambda t: t[0] * t[1])
    return st.one_of(*[short] * 9, repeated).map(lambda text: text[:most])


@st.composite
def damaged(draw, content: bytes, most_edits: int = 4) -> bytes:
    """`content` with some of its bytes changed, lost, repeated or added."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, most_edits))):
        # Headers decide more than what follows them.
        place = draw(
            st.one_of(
                st.integers(0, min(len(data), 128)),
                st.integers(0, len(data)),
                st.integers(max(0, len(data) - 128), len(data)),
            )
        )
        size = draw(st.sampled_from([1, 1, 2, 4, 8, 50, 1000]))
        how = draw(
            st.sampled_from(["flip", "set", "cut", "end", "zero", "repeat", "insert"])
        )
        span = bytes(data[place : place + size])
        if how == "flip" and span:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            edge = draw(st.sampled_from([0xFF, 0x7F, 0x80, 0x01, 0x00]))
            data[place : place + size] = bytes([edge]) * len(span)
        elif how == "cut":
            del data[place : place + size]
        elif how == "end":
            del data[place:]
        elif how == "zero":
            data[place : place + size] = bytes(len(span))
        elif how == "repeat":
            data[place:place] = span * draw(st.integers(1, 5))
        elif how == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=20))
    return bytes(data)


def junk() -> st.SearchStrategy[bytes]:
    """Bytes of no format, and nothing."""
    return st.one_of(st.just(b""), st.binary(max_size=300), st.just(bytes(5000)))


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2, 3, 7, 2**31, 2**63, 10**30, -(10**9), 10**7]),
    st.sampled_from([0.0, -1.0, 0.5, 1e-300, 1e300, float("nan"), float("inf"), -0.0]),
    st.sampled_from(
        [
            "",
            "abc",
            "none",
            "true",
            "1e3",
            "/etc/passwd",
            "../x",
            "\0",
            "\ud7ff",
            "a" * 999,
        ]
    ),
    st.text(max_size=8),
    st.sampled_from([[], {}, [[]], [None], [0], [1, 2, 3], ["a"], {"a": 1}, {"a": {}}]),
    st.sampled_from(
        [[0, 0, 0], [3] * 40, [1.5], [10**6] * 3, [-3], [True], {"": None}]
    ),
)


def _places(data: Any, path: Tuple = ()) -> List[Tuple]:
    """Keys that lead to every value of nested dicts and lists."""
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))[:6]
    else:
        return []
    return [p for k, v in items for p in [path + (k,), *_places(v, path + (k,))]]


@st.composite
def changed(draw, data: Dict[str, Any], only: Tuple[str, ...] = ()) -> Dict[str, Any]:
    """Nested options with one to three of them changed, removed, renamed or added.

    Args:
        data: The options.
        only: If given, the names at the top that change.
    """
    data = copy.deepcopy(data)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        places = [p for p in _places(data) if not only or p[0] in only]
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        inner = data
        for key in way:
            inner = inner[key]
        how = draw(st.sampled_from(["set", "set", "set", "remove", "rename", "add"]))
        # A copy, for the next change may be of what is put in now.
        value = copy.deepcopy(draw(ODD)) if how in ("set", "add") else None
        if how == "set" or isinstance(inner, list):
            inner[last] = value
        elif how == "remove":
            del inner[last]
        elif how == "rename":
            inner[f"{last}x"] = inner.pop(last)
        else:
            inner[draw(st.sampled_from(["x", "dim", "unknown_option", ""]))] = value
    return data


def laughs(depth: int = 9) -> str:
    """A billion of laughs: `depth` lists, each of ten times the one before."""
    rows = ["a0: &a0 [ha, ha]"]
    for i in range(1, depth + 1):
        rows.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    return "\n".join(rows) + "\n"


def merges(depth: int = 9) -> str:
    """The same of mappings that are merged."""
    rows = ["a0: &a0 {x: 1}"]
    for i in range(1, depth + 1):
        rows.append(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}")
    return "\n".join(rows) + "\n"


def hostile_yaml(canary: str) -> List[str]:
    """Documents that run code, explode or are of odd types.

    Args:
        canary: A path that must never come to exist.
    """
    return [
        f"a: !!python/object/apply:os.mkdir ['{canary}']\n",
        f"a: !!python/object/apply:os.system ['mkdir {canary}']\n",
        f"a: !!python/object/new:subprocess.Popen [[mkdir, '{canary}']]\n",
        "a: !!python/name:os.system\n",
        "a: !!python/module:antigravity\n",
        "!!python/object:espnet_fsqdiff.errors.InputError {}\n",
        laughs(),
        merges(),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "&a {? *a : 1}\n",
        "a: " + "[" * 3000 + "]" * 3000 + "\n",
        "a: " + "{a: " * 3000 + "}" * 3000 + "\n",
        "- " * 3000 + "x\n",
        "a: " + "9" * 5000 + "\n",
        "a: 0x" + "f" * 20000 + "\n",
        "a: 1:" + "59:" * 300 + "0\n",
        "a: 2001-99-99\n",
        "a: !!timestamp x\n",
        "a: !!int x\n",
        "a: !!float x\n",
        "a: !!bool 7\n",
        "a: !!binary '*'\n",
        "a: !!set {x, y}\n",
        "a: !!omap [x: 1]\n",
        "a: 2020-01-01\n",
        "a: .nan\nb: .inf\n",
        "? [x, y]\n: 1\n",
        "? {x: y}\n: 1\n",
        "a: *unknown\n",
        "a: 1\na: 2\n",
        "--- {a: 1}\n--- {b: 2}\n",
        "%YAML 9.9\n---\na: 1\n",
        "a:\t1\n\tb: 2\n",
        "a: \x00\n",
        "\ufeffa: 1\n",
        'a: "\\ud800"\n',
        "a: 'x\n",
        "null\n",
        "[]\n",
        "text\n",
        "7\n",
        "",
        "1: 2\nnull: 3\ntrue: 4\n",
        "a: " + "x" * 1_000_000 + "\n",
        "".join(f"k{i}: {i}\n" for i in range(20000)),
    ]


def yaml_files(
    data: Dict[str, Any], canary: str, only: Tuple[str, ...] = ()
) -> st.SearchStrategy[bytes]:
    """Contents of yaml files: options changed, bytes damaged, hostile documents.

    Args:
        data: Sound options.
        canary: A path that must never come to exist.
        only: See `changed`.
    """
    import yaml

    def dumped(content: Any) -> bytes:
        kind = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text = yaml.dump(content, Dumper=kind, sort_keys=False, allow_unicode=True)
        return text.encode("utf-8", "surrogatepass")

    sound = dumped(data)
    hostile = [text.encode("utf-8", "surrogatepass") for text in hostile_yaml(canary)]
    options = changed(data, only).map(dumped)
    return st.one_of(
        options,
        options,
        options,
        damaged(sound),
        st.sampled_from(hostile),
        # Added to what is sound, and in the place of one of its values.
        st.sampled_from(hostile).map(lambda text: sound + b"\n" + text),
        st.sampled_from(
            [b"\xff\xfe" + sound, sound.decode().encode("utf-16"), b"\xff"]
        ),
        junk(),
    )
