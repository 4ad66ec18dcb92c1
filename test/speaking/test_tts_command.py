"""fsqdiff-tts: texts in, waves out, faults in one line, nothing half."""

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff import speech_files
from espnet_fsqdiff.bin import tts
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.speech_files import MAX_FAULTS_IN_A_ROW, MAX_LINE_CHARS


def records(folder):
    return [json.loads(x) for x in (folder / "speech.jsonl").read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- one file -----------------------------------------------------------------------


def test_text_to_a_file(tone, tmp_path, capsys):
    tts.main(["Hello there.", "-o", str(tmp_path / "new" / "hello.wav")])
    wav, fs = soundfile.read(tmp_path / "new" / "hello.wav")
    assert (len(wav), fs) == (12 * 160, 16000) and np.abs(wav).max() > 0.4
    assert names(tmp_path / "new") == ["hello.wav"]
    assert tone[0].loaded == ("high", "cpu", "torch")
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello.wav: 0.1 s of speech in" in err and "real-time factor" in err


def test_words_need_no_quotes(tone, tmp_path):
    tts.main(["Hello", "there.", "--quiet", "-o", str(tmp_path / "a.flac")])
    assert tone[0].calls == [(["Hello there."], {})]
    assert soundfile.info(tmp_path / "a.flac").format == "FLAC"


def test_options_reach_the_voice(tone, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    prompt = tmp_path / "me.wav"
    prompt.write_bytes(b"audio")
    options = dict(
        speed=1.5,
        num_steps=4,
        guidance_scale=2.0,
        temperature=0.5,
        num_takes=3,
        seed=7,
        prompt_wav=str(prompt),
        prompt_text="It is me.",
    )
    cmd = ["--model", "low", "--device", "cuda:1", "--backend", "onnx", "--quiet"]
    cmd += ["--batch_size", "5"]
    cmd += [x for name, value in options.items() for x in (f"--{name}", str(value))]
    for output in ("-o", str(tmp_path / "a.wav")), (
        "--output_dir",
        str(tmp_path / "d"),
    ):
        tts.main(["abc", *cmd, *output])
        assert tone[-1].loaded == ("low", "cuda:1", "onnx")
        assert tone[-1].calls == [(["abc"], options)] and tone[-1].batch_size == 5
    assert capsys.readouterr() == ("", "")


def test_another_chain_from_tokens_to_waves(tone, tmp_path, capsys):
    for name in ("v.yaml", "v.pth"):
        (tmp_path / name).write_text(name)
    cmd = ["abc", "--output_dir", str(tmp_path / "d"), "--quiet"]
    chain = ["--vocoder_train_config", str(tmp_path / "v.yaml"), "--vocoder_file"]
    chain += [str(tmp_path / "v.pth"), "--token2mel_conf", "{num_steps: 3}"]
    tts.main([*cmd, *chain])
    assert tone[0].chain == dict(
        vocoder_train_config=str(tmp_path / "v.yaml"),
        vocoder_file=str(tmp_path / "v.pth"),
        token2mel_conf=dict(num_steps=3),
    )
    assert tone[0].calls == [(["abc"], {})]
    # What an earlier run made with the same files is kept, and with no others.
    tts.main([*cmd, *chain])
    assert tone[1].calls == []
    (tmp_path / "v.pth").write_text("other weights")
    tts.main([*cmd, *chain])
    assert tone[2].calls == [(["abc"], {})]
    tts.main([*cmd, "--vocoder", "griffin_lim", "--vocoder_conf", "{num_iters: 2}"])
    assert tone[3].chain == dict(vocoder="griffin_lim", vocoder_conf=dict(num_iters=2))
    # The files that their options name count too.
    (tmp_path / "spk.npy").write_text("one voice")
    conf = ["--vocoder_conf", f"{{model_dir: '{tmp_path}/box', num_iters: 2}}"]
    conf += ["--token2mel_conf", f"{{spk_embed: '{tmp_path}/spk.npy', solver: x}}"]
    said = [tone[-1].calls for _ in range(2) if tts.main([*cmd, *conf]) is None]
    assert said == [[(["abc"], {})], []]
    (tmp_path / "spk.npy").write_text("another voice")
    tts.main([*cmd, *conf])
    assert tone[-1].calls == [(["abc"], {})]
    (tmp_path / "box" / "more").write_text("more")
    tts.main([*cmd, *conf])
    assert tone[-1].calls == [(["abc"], {})]
    with pytest.raises(InputError, match="--vocoder_file .*none: no such file"):
        tts.main([*cmd, "--vocoder_file", str(tmp_path / "none")])
    with pytest.raises(InputError, match="--vocoder_conf: '3' is no yaml of options"):
        tts.main([*cmd, "--vocoder_conf", "3"])


def test_long_text_is_read_in_blocks(tone, tmp_path, monkeypatch):
    monkeypatch.setattr(speech_files, "_BLOCK_CHARS", 1000)
    path = tmp_path / "book.txt"
    path.write_text("\ufeff" + "äb" * 2000, encoding="utf-8")
    tts.main(["--text_file", str(path), "-o", str(tmp_path / "book.wav"), "--quiet"])
    said = [texts[0] for texts, _ in tone[0].calls]
    assert len(said) == 4 and "".join(said) == "äb" * 2000
    assert soundfile.info(tmp_path / "book.wav").frames == 160 * 4000


def test_standard_input(tone, tmp_path, monkeypatch):
    for form in ["-"], ["--text_file", "-"]:
        with open(tmp_path / "in.txt", "w+", encoding="utf-8") as f:
            f.write("Grüße.\n")
            f.seek(0)
            monkeypatch.setattr(sys, "stdin", f)
            tts.main([*form, "-o", str(tmp_path / "a.wav"), "--quiet"])
            assert not f.closed
        assert tone[-1].calls == [(["Grüße.\n"], {})]


def test_nothing_is_left_of_a_text_that_cannot_be_spoken(tone, tmp_path, monkeypatch):
    monkeypatch.setattr(speech_files, "_BLOCK_CHARS", 1000)
    path = tmp_path / "text.txt"
    path.write_text("a" * 1000 + "\u2603", encoding="utf-8")
    old = tmp_path / "a.wav"
    old.write_bytes(b"what was there")
    with pytest.raises(InputError, match="snowman"):
        tts.main(["--text_file", str(path), "-o", str(old)])
    assert old.read_bytes() == b"what was there"
    assert names(tmp_path) == ["a.wav", "box", "text.txt"]


# --- one file a line ----------------------------------------------------------------


def test_a_wave_for_each_line(tone, tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_text("one\n\n  three \nfour\nfive", encoding="utf-8")
    out = tmp_path / "out"
    cmd = ["--text_file", str(path), "--output_dir", str(out), "--batch_size", "3"]
    tts.main([*cmd, "--num_takes", "2"])
    waves = ["000001.wav", "000003.wav", "000004.wav", "000005.wav"]
    assert names(out) == [*waves, "speech.jsonl"]
    assert [texts for texts, _ in tone[0].calls] == [["one", "three", "four"], ["five"]]
    assert soundfile.info(out / "000003.wav").frames == 160 * 5
    found = records(out)
    assert [r["text"] for r in found] == ["one", "three", "four", "five"]
    assert found[1]["line"] == 3 and found[1]["wav"] == "000003.wav"
    assert found[1]["seconds"] == 0.05 and found[1]["scores"] == [[-1.0, 0.0]]
    assert found[1]["sentences"] == [{"text": "three", "start": 0.0, "end": 0.05}]
    assert "4 waves, 0.2 s of speech in" in capsys.readouterr().err


def test_texts_given_are_lines(tone, tmp_path):
    tts.main(["one two", "three", "--output_dir", str(tmp_path / "d"), "--quiet"])
    assert [r["text"] for r in records(tmp_path / "d")] == ["one two", "three"]


def test_what_is_there_is_kept_unless_text_or_settings_change(tone, tmp_path, capsys):
    path, out = tmp_path / "lines.txt", tmp_path / "out"
    cmd = ["--text_file", str(path), "--output_dir", str(out), "--batch_size", "2"]

    def said(*more):
        tts.main([*cmd, *more])
        return [text for texts, _ in tone[-1].calls for text in texts]

    path.write_text("one\ntwo\nthree\n")
    assert said() == ["one", "two", "three"]
    assert said() == []
    assert "0 waves, 0.0 s of speech, 3 were there" in capsys.readouterr().err
    path.write_text("one\ntoo\nthree\nfour\n")
    assert said() == ["too", "four"]
    (out / "000003.wav").unlink()
    assert said() == ["three"]
    assert said("--seed", "1") == ["one", "too", "three", "four"]
    assert said("--seed", "1", "--model", "low") == ["one", "too", "three", "four"]
    (tmp_path / "box" / "low.zip").write_bytes(b"another voice of that name")
    assert len(said("--seed", "1", "--model", "low")) == 4
    assert said("--seed", "1", "--model", "low") == []


def test_killed_run_goes_on(tone, tmp_path, monkeypatch):
    out = tmp_path / "out"
    texts = ["one", "two", "three", "four"]
    cmd = [*texts, "--output_dir", str(out), "--batch_size", "1", "--quiet"]
    batch = tone_class().batch

    def killed(self, batch_texts, **options):
        if "three" in batch_texts:
            raise KeyboardInterrupt
        return batch(self, batch_texts, **options)

    monkeypatch.setattr(tone_class(), "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        tts.main(cmd)
    assert names(out) == ["000001.wav", "000002.wav", "speech.jsonl"]
    # A machine that stops may tear the last line, or leave a wave without one.
    log = (out / "speech.jsonl").read_bytes()
    (out / "speech.jsonl").write_bytes(log[:-20])
    monkeypatch.setattr(tone_class(), "batch", batch)
    tts.main(cmd)
    assert [t for t, _ in tone[-1].calls] == [["two"], ["three"], ["four"]]
    tts.main(cmd)
    assert tone[-1].calls == []


def tone_class():
    return sys.modules["espnet_fsqdiff.text2speech"].Text2Speech


def test_faulty_line_costs_no_other(tone, tmp_path, capsys):
    path, out = tmp_path / "lines.txt", tmp_path / "out"
    long = "long " * MAX_LINE_CHARS
    blank = " " * (MAX_LINE_CHARS + 1) + "word"
    path.write_text(f"one\n\u2603 here\n{long}\nfour\n  {long}\n{blank}\n")
    cmd = ["--text_file", str(path), "--output_dir", str(out)]
    with pytest.raises(InputError, match="4 of 6 lines could not be spoken"):
        tts.main(cmd)
    assert names(out) == ["000001.wav", "000004.wav", "speech.jsonl"]
    err = capsys.readouterr().err
    assert "fsqdiff-tts: line 2: there is no word for a snowman\n" in err
    for number in (3, 5, 6):
        assert f"line {number} has {MAX_LINE_CHARS} characters or more" in err
    path.write_text("one\nsnowman here\n\nfour\n")
    tts.main(cmd)
    assert [texts for texts, _ in tone[-1].calls] == [["snowman here"]]


@pytest.mark.parametrize("appends", [0, 1])
def test_a_wave_that_the_log_does_not_know_is_made_again(
    tone, tmp_path, monkeypatch, appends
):
    """The disk is full before or behind a wave of other settings."""
    cmd = ["one", "--output_dir", str(tmp_path / "out"), "--quiet"]
    tts.main(cmd)
    left = appends

    def full(path, mode="r", **options):
        nonlocal left
        left -= mode == "a"
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return open(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(speech_files, "open", full, raising=False)
        with pytest.raises(InputError, match="1 of 1 lines"):
            tts.main([*cmd, "--speed", "2"])
    tts.main(cmd)
    assert soundfile.info(tmp_path / "out" / "000001.wav").frames == 160 * 3


def test_a_score_that_is_not_finite_is_null(tone, tmp_path, monkeypatch):
    real = tone_class()._speak

    def speak(self, text, **options):
        return {**real(self, text, **options), "scores": [[-float("inf"), -1.0]]}

    monkeypatch.setattr(tone_class(), "_speak", speak)
    tts.main(["one", "--output_dir", str(tmp_path / "out"), "--quiet"])
    assert "Infinity" not in (tmp_path / "out" / "speech.jsonl").read_text()
    assert records(tmp_path / "out")[0]["scores"] == [[None, -1.0]]


def test_fault_of_every_line_ends_the_run(tone, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\u2603\n" * 1000)
    with pytest.raises(InputError, match=f"{MAX_FAULTS_IN_A_ROW} lines in a row"):
        tts.main(["--text_file", str(path), "--output_dir", str(tmp_path / "out")])
    assert len(tone[0].calls) < 40


# --- faults -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cmd, message",
    [
        ([], "no text: give it"),
        (["Hi"], "say where the speech goes: -o"),
        (["Hi", "-o", "a.wav", "--output_dir", "d"], "say where"),
        (["Hi", "--text_file", "x", "-o", "a.wav"], "not both"),
        (["--text_file", "nowhere.txt", "-o", "a.wav"], "nowhere.txt: no such file"),
        (["Hi", "-o", "."], "is a directory"),
        (["Hi", "-o", "a.doc"], "name it .wav or .flac"),
        (["Hi", "-o", "/dev/null/a.wav"], "/dev/null"),
        (["Hi", "--output_dir", "/dev/null/d"], "/dev/null.*write somewhere else"),
        (["Hi", "caf\udce9", "-o", "a.wav"], "text 2: .* is not UTF-8"),
        (["caf\udce9", "--output_dir", "d"], "text 1: .* is not UTF-8"),
        (["Hi", "-o", "a.wav", "--speed", "0"], "'0' is no number of 0.25 to 4"),
        (["Hi", "-o", "a.wav", "--speed", "nan"], "'nan' is no number"),
        (["Hi", "-o", "a.wav", "--num_steps", "2.5"], "'2.5' is no whole number"),
        (["Hi", "-o", "a.wav", "--seed", "-1"], "'-1' is no whole number"),
        (["Hi", "-o", "a.wav", "--nonsense"], "--nonsense; see --help"),
        (["Hi", "-o", "a.wav", "--prompt_wav", "no.wav"], "no.wav: no such file"),
        (["Hi", "-o", "a.wav", "--prompt_text", "Me"], "needs --prompt_wav"),
        (["Hi", "-o", "a.wav", "--model", "broken"], "broken: no such voice"),
        (["Hi", "-o", "a.wav", "--device", "abacus"], "abacus: there is no such kind"),
        (["Hi", "-o", "a.wav", "--device", "cuda:99"], "cuda:99: torch sees . GPUs"),
        (["Hi", "--serve"], "text does not go with --serve"),
        (["--serve", "--speed", "2"], "speed does not go with --serve"),
        (["--text_file", "latin1.txt", "-o", "a.wav"], "0xe4 is not UTF-8"),
        (["--text_file", "latin1.txt", "--output_dir", "d"], "0xe4 is not UTF-8"),
        (["--text_file", "late.txt", "-o", "a.wav"], "late.txt, sentence 2: no word"),
        (["--text_file", "blank.txt", "-o", "a.wav"], "nothing to write"),
        (["--text_file", "blank.txt", "--output_dir", "d"], "the text is empty"),
    ],
)
def test_faults_are_named(tone, tmp_path, monkeypatch, cmd, message):
    monkeypatch.chdir(tmp_path)
    Path("latin1.txt").write_bytes("Bär".encode("latin-1"))
    Path("blank.txt").touch()
    Path("late.txt").write_text("All is well. A \u2603 is not.", encoding="utf-8")
    with pytest.raises(InputError, match=message) as e:
        tts.main(cmd)
    assert "\n" not in str(e.value)
    assert not Path("a.wav").exists()


def test_an_empty_box_says_what_to_do(tone, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["espnet_fsqdiff.pretrained"], "voices", lambda: [])
    with pytest.raises(InputError, match="no voice is in the box; give one with --m"):
        tts.main(["Hi", "-o", str(tmp_path / "a.wav")])
    tts.main(["Hi", "-o", str(tmp_path / "a.wav"), "--model", "x.zip", "--quiet"])
    assert tone[0].loaded[0] == "x.zip"


def test_list_models(tone, tmp_path, capsys):
    tts.main(["--list_models"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["high", "low"]
    assert lines[0].endswith(f"{tmp_path}/box/high.zip\tA high tone")


# --- the program --------------------------------------------------------------------


def run(cmd, env, blocked=()):
    code = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {tuple(blocked)!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
sys.argv[0] = "fsqdiff-tts"
from espnet_fsqdiff.bin.tts import entry
entry()
"""
    return subprocess.run(
        [sys.executable, "-c", code, *cmd], env=env, capture_output=True, text=True
    )


def test_what_needs_no_voice_starts_fast(python_env):
    """Help, lists and faults come without what takes seconds to import."""
    heavy = ("torch", "espnet2", "torchaudio", "librosa", "matplotlib", "scipy")
    done = run(["--help"], python_env, heavy)
    assert done.returncode == 0 and "--num_takes" in done.stdout
    assert run(["--list_models"], python_env, heavy).returncode == 0
    done = run(["Hi"], python_env, heavy)
    assert done.returncode == 2
    assert done.stderr.startswith("fsqdiff-tts: error: say where the speech goes")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_interrupted(tmp_path, python_env, signum, status):
    """Ctrl-C and kill leave neither half a file nor a traceback."""
    code = f"""
import signal, sys, time, types
# Ignored where the tests themselves run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest
from espnet_fsqdiff.joining import Part
class Slow(conftest.Tone):
    def stream(self, lines, **options):
        for i in range(1000):
            yield Part(self("abc")["wav"], i)
            print(i, flush=True)
            time.sleep(0.05)
sys.modules["espnet_fsqdiff.text2speech"] = types.SimpleNamespace(Text2Speech=Slow)
sys.modules["espnet_fsqdiff.pretrained"] = types.SimpleNamespace(voices=lambda: [])
from espnet_fsqdiff.bin.tts import entry
entry()
"""
    cmd = ["Hi", "--model", "slow", "-o", str(tmp_path / "a.wav")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *cmd],
        env=python_env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "0\n"
        assert len(names(tmp_path)) == 1  # written aside
        process.send_signal(signum)
        _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert "Traceback" not in err
    assert names(tmp_path) == []
