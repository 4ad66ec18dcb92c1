import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("espnet2")

from espnet_fsqdiff.bin.make_token_list import main as make_token_list  # noqa: E402
from espnet_fsqdiff.errors import InputError  # noqa: E402
from espnet_fsqdiff.text.normalize import build_cleaner, lower  # noqa: E402
from espnet_fsqdiff.text.tokenizer import (  # noqa: E402
    TextTokenizer,
    read_token_list,
    write_token_list,
)

CHARS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz"]


def test_lower():
    assert (
        lower("  Don\u2019t \u201cGO\u201d\n now \u2013 7  ") == 'don\'t "go" now - 7'
    )


def test_cleaners():
    clean = build_cleaner("tacotron,lower")
    assert clean("Mr. Smith; 42 co-workers") == "mister smith, forty two co workers"
    assert build_cleaner(None)("A b") == build_cleaner("none")("A b") == "A b"
    with pytest.raises(InputError, match="--cleaner nonsense"):
        build_cleaner("lower,nonsense")


def test_cleaners_load_without_rewriting_inflect():
    """typeguard would spend seconds on it; what comes out is the same."""
    code = """
import sys, typeguard
from espnet_fsqdiff.text.normalize import build_cleaner
theirs = typeguard.typechecked
print(build_cleaner("tacotron,lower")("Dr. Lee, 21 & 3rd"))
assert typeguard.typechecked is theirs
print(sys.modules["inflect"].engine.number_to_words.__code__.co_names)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cleaned, names = done.stdout.splitlines()[-2:]
    assert cleaned == "doctor lee, twenty one and third"
    assert "isinstance" in names and "TypeCheckMemo" not in names


def test_encode_char():
    tokenizer = TextTokenizer("char", CHARS, cleaner="lower")
    ids = tokenizer.encode("A b")
    assert ids.dtype == np.int64
    assert ids.tolist() == [0, 2, 1, 3, 0]
    assert tokenizer.text2tokens("A b") == ["a", "<space>", "b"]
    assert tokenizer.vocab_size == 28
    bare = TextTokenizer("char", CHARS, edge_symbol=None)
    assert bare.encode("a b").tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    "text, culprit, cure",
    [
        ("room 7", "'7'", "number"),
        ("caf\u00e9", "'\u00e9'", "--cleaner"),
        ("a? b!", "'?' '!'", "--cleaner"),
    ],
)
def test_unknown_symbols_are_named(text, culprit, cure):
    with pytest.raises(InputError) as e:
        TextTokenizer("char", CHARS, cleaner="lower").encode(text, "utt7")
    message = str(e.value)
    assert message.startswith("utt7: ") and culprit in message and cure in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_empty_text_is_named(text):
    with pytest.raises(InputError, match="^utt7: .*empty"):
        TextTokenizer("char", CHARS, cleaner="lower").encode(text, "utt7")


def test_text_that_the_cleaner_empties():
    with pytest.raises(InputError, match="^utt7: .*empty after cleaning"):
        TextTokenizer("char", CHARS, cleaner="tacotron,lower").encode('"()"', "utt7")


def test_token_list_faults(tmp_path):
    with pytest.raises(InputError, match="stage 4"):
        read_token_list(tmp_path / "none.txt")
    with pytest.raises(InputError, match="'a' is there twice"):
        TextTokenizer("char", ["<sos/eos>", "a", "a"])
    with pytest.raises(InputError, match="edge symbol"):
        TextTokenizer("char", ["a", "b"])
    with pytest.raises(InputError, match="empty symbol"):
        TextTokenizer("char", ["<sos/eos>", ""])
    with pytest.raises(InputError, match="without a token list"):
        TextTokenizer("char").encode("a")
    write_token_list(tmp_path / "t.txt", CHARS)
    assert read_token_list(tmp_path / "t.txt") == CHARS


def test_a_number_beyond_a_cleaner_is_named():
    tokenizer = TextTokenizer("char", cleaner="tacotron")
    for digits in (400, 5000):
        with pytest.raises(InputError, match="utt1: cleaner tacotron: '999"):
            tokenizer.text2tokens("9" * digits, "utt1")


def test_token_lists_of_odd_content(tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_bytes(b"<sos/eos>\n\xff\n")
    with pytest.raises(InputError, match="tokens.txt: not UTF-8"):
        TextTokenizer("char", path)
    path.write_text("a\nb\n")
    with pytest.raises(InputError, match="tokens.txt has no edge symbol"):
        TextTokenizer("char", path)
    for symbols in ([["a"]], ["a", None], {"a": 1}):
        with pytest.raises(
            InputError, match="token list is .*; give a list of symbols"
        ):
            TextTokenizer("char", symbols)


def test_unknown_symbols_without_end_are_cut():
    tokenizer = TextTokenizer("char", ["<sos/eos>", "a"])
    with pytest.raises(InputError) as error:
        tokenizer.encode("".join(map(chr, range(0x4E00, 0x4F00))))
    assert " ... in '" in str(error.value) and len(str(error.value)) < 500


def test_unknown_type_and_g2p(tmp_path):
    with pytest.raises(InputError, match="token type word"):
        TextTokenizer("word")
    with pytest.raises(InputError, match="no sentencepiece model"):
        TextTokenizer("bpe", bpemodel=tmp_path / "none.model")


def text_file(path, texts):
    path.write_text("".join(f"utt{i} {t}\n" for i, t in enumerate(texts)))
    return str(path)


def test_make_token_list(tmp_path):
    train = text_file(tmp_path / "train", ["The cat", "a bat"])
    valid = text_file(tmp_path / "valid", ["that"])
    options = [
        "--train_text",
        train,
        "--output_dir",
        str(tmp_path),
        "--cleaner",
        "lower",
    ]
    make_token_list([*options, "--check_text", valid])
    symbols = read_token_list(tmp_path / "tokens.txt")
    assert symbols == ["<sos/eos>", "<space>", *"abceht"]


def test_make_token_list_names_unseen_symbols(tmp_path):
    train = text_file(tmp_path / "train", ["a b"])
    bad = text_file(tmp_path / "valid", ["a", *["a 5"] * 7, "c"])
    with pytest.raises(InputError) as e:
        make_token_list(
            ["--train_text", train, "--check_text", bad, "--output_dir", str(tmp_path)]
        )
    message = str(e.value)
    assert "valid: utt1, utt2, utt3, utt4, utt5 and 3 more" in message
    assert "'5' 'c'" in message and "spell" in message
    assert not (tmp_path / "tokens.txt").exists()


def test_empty_line_in_the_training_text(tmp_path):
    train = text_file(tmp_path / "train", ["a b", ""])
    with pytest.raises(InputError, match="train: utt1: .*empty"):
        make_token_list(["--train_text", train, "--output_dir", str(tmp_path)])


SENTENCES = [
    "the happy farmer carried the yellow bottle",
    "the clever doctor painted the silver window",
    "the hungry rabbit followed the uncle slowly",
    "tomorrow the young captain discovered the mirror",
]


def test_bpe(tmp_path):
    train = text_file(tmp_path / "train", SENTENCES)
    options = [
        "--train_text",
        train,
        "--output_dir",
        str(tmp_path),
        "--cleaner",
        "lower",
    ]
    make_token_list([*options, "--token_type", "bpe", "--nbpe", "45"])
    tokenizer = TextTokenizer(
        "bpe", tmp_path / "tokens.txt", cleaner="lower", bpemodel=tmp_path / "bpe.model"
    )
    ids = tokenizer.encode(SENTENCES[0])
    assert 0 not in ids[1:-1] and ids[0] == ids[-1] == 0
    pieces = [tokenizer.token_list[i] for i in ids[1:-1]]
    assert "".join(pieces).replace("\u2581", " ").strip() == SENTENCES[0]
    assert len(pieces) < len(SENTENCES[0])
    with pytest.raises(InputError, match="utt7: .*'[^']*7'"):
        tokenizer.encode("the doctor 7", "utt7")
    with pytest.raises(InputError, match="--nbpe 5000"):
        make_token_list([*options, "--token_type", "bpe", "--nbpe", "5000"])


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is missing")
def test_phonemes(tmp_path):
    pytest.importorskip("phonemizer")
    train = text_file(tmp_path / "train", SENTENCES)
    g2p = ["--token_type", "phn", "--g2p", "espeak_ng_english_us_vits"]
    make_token_list(["--train_text", train, "--output_dir", str(tmp_path), *g2p])
    tokenizer = TextTokenizer("phn", tmp_path / "tokens.txt", g2p=g2p[-1])
    tokens = tokenizer.text2tokens("the doctor")
    assert "d" in tokens and "<space>" in tokens
    assert len(tokenizer.encode("the doctor")) == len(tokens) + 2
    with pytest.raises(InputError, match="--g2p nonsense"):
        TextTokenizer("phn", g2p="nonsense")


def test_spoken_english_fits_its_marks_to_the_token_list():
    tokenizer = TextTokenizer("char", [*CHARS, ","], cleaner="spoken_english")
    ids = tokenizer.encode("Wait; 2: it's!")
    symbols = [tokenizer.token_list[i] for i in ids]
    said = "".join(symbols[1:-1]).replace("<space>", " ")
    assert said == "wait, two, its"
    # Without it, nothing is dropped in silence.
    with pytest.raises(InputError, match="not in the token list: '!'"):
        tokenizer = TextTokenizer("char", CHARS, cleaner="lower")
        tokenizer.encode("wait!", "utt7")
    tokenizer.fit_marks = True
    assert len(tokenizer.encode("wait!")) == 6


@pytest.mark.parametrize(
    "text, named",
    [
        ("\u0436", "text 3: '\u0436' CYRILLIC SMALL LETTER ZHE cannot be spoken"),
        ("?!", "text 3: the text '\\?!' is empty after cleaning"),
        ("*" * 5000, r"text 3: the text '\*{80}\.\.\.' is empty"),
    ],
)
def test_spoken_english_refuses_by_name(text, named):
    with pytest.raises(InputError, match=f"^{named}"):
        TextTokenizer("char", CHARS, cleaner="spoken_english").encode(text, "text 3")
