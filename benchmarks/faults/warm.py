"""An interpreter that has imported torch and ESPnet, and forks for each command.

Imports take half a minute of a stage of the tiny recipe that works for two seconds. A
`Warm` server stands in for `python`: its client, a script that `run.sh --python` takes,
hands over arguments, environment, working directory and streams, and waits. The
command runs in a fork of the server, in a process group of its own. A client that
dies takes its command along.
"""

import array
import importlib
import json
import os
import runpy
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List

CLIENT = """\
#!{python} -IS
import array, json, os, socket, sys

s = socket.socket(socket.AF_UNIX)
s.connect({address!r})
call = dict(argv=sys.argv[1:], cwd=os.getcwd(), environ=dict(os.environ))
call = json.dumps(call).encode()
rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
s.sendmsg([len(call).to_bytes(8, "little")], [rights])
s.sendall(call)
answer = s.recv(1)
os._exit(answer[0] if answer else 137)
"""
_LENGTH = 8
# What takes longest; the rest is learned.
PRELOAD = (
    "espnet2.tasks.abs_task",
    "espnet2.main_funcs.pack_funcs",
    "espnet_fsqdiff.text2speech",
    "espnet_fsqdiff.tasks.cdcd",
    "espnet_fsqdiff.tasks.fsq_tokenizer",
    "espnet_fsqdiff.tasks.launch",
    "espnet_fsqdiff.tasks.token2mel",
    "espnet_fsqdiff.tasks.trainer",
    "espnet_fsqdiff.tasks.vocoder",
    "espnet_fsqdiff.scoring.report",
    "jiwer",
    "matplotlib.pyplot",
    "pocketsphinx",
    "pyworld",
    "torch._dynamo",
    "torch.optim.lr_scheduler",
)
# What was learned from the commands that ran.
_KNOWN = "known.json"


class Warm:
    """The server, as the harness sees it.

    Args:
        folder: Its socket, client and notes go here.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.python = self.folder / "python"
        address = self.folder / "socket"
        address.unlink(missing_ok=True)
        client = CLIENT.format(python=sys.executable, address=str(address))
        self.python.write_text(client)
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)
        self._clear()
        command = [sys.executable, "-m", "benchmarks.faults.warm", str(self.folder)]
        self._server = subprocess.Popen(command)
        while not address.exists():
            if self._server.poll() is not None:
                raise RuntimeError("the warm interpreter did not start")
            time.sleep(0.05)

    def _running(self) -> List[Path]:
        return list(self.folder.glob("*.group"))

    def _clear(self) -> None:
        for note in self._running():
            note.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL to all commands that run; returns when they are gone."""
        while notes := self._running():
            for note in notes:
                try:
                    os.killpg(int(note.stem), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.002)

    def close(self) -> None:
        """End the server."""
        self.kill()
        self._server.terminate()
        self._server.wait()


def _receive(connection: socket.socket) -> Dict[str, Any]:
    """A call: argv, cwd, environ, and the three streams as `fds`."""
    size = array.array("i").itemsize
    head, ancillary, _, _ = connection.recvmsg(_LENGTH, socket.CMSG_SPACE(3 * size))
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % size])
    left = int.from_bytes(head, "little")
    text = b""
    while len(text) < left:
        part = connection.recv(left - len(text))
        if not part:
            raise EOFError
        text += part
    return {**json.loads(text), "fds": list(fds)}


def _handle(connection: socket.socket, folder: Path) -> int:
    """Run one call and answer with its exit status; in a fork of its own."""
    try:
        call = _receive(connection)
    except EOFError:
        return 0
    worker = os.fork()
    if worker == 0:
        connection.close()
        _become(call, folder)
    note = folder / f"{worker}.group"
    try:
        os.setpgid(worker, worker)
    except PermissionError:
        pass  # it did so itself
    note.touch()
    ended = os.pidfd_open(worker)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        try:
            os.killpg(worker, signal.SIGKILL)
        except ProcessLookupError:
            pass
    _, status = os.waitpid(worker, 0)
    note.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    try:
        connection.sendall(bytes([code if code >= 0 else 128 - code]))
    except OSError:
        pass  # nobody waits any more
    return 0


def _become(call: Dict[str, Any], folder: Path) -> None:
    """Be the command; does not return."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(call["fds"]):
        os.dup2(fd, number)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(call["environ"])
    os.chdir(call["cwd"])
    _reseed()
    code = 1
    before = set(sys.modules)
    try:
        code = _run(call["argv"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        learned = set(sys.modules) - before
        if code == 0 and learned:
            _write_names(folder / f"{os.getpid()}.news", learned)
        os._exit(code)


def _reseed() -> None:
    """What a new process would draw: forks must not be alike by accident."""
    import random

    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def _run(argv: List[str]) -> int:
    """What `python ARGV` would do, for `-m MODULE ...` and `-c CODE ...`."""
    import atexit
    import traceback

    try:
        kind, what, *rest = argv
        sys.argv = [what, *rest]
        if kind == "-m":
            sys.path[0] = os.getcwd()
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        elif kind == "-c":
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        else:
            raise ValueError(f"python {argv}: only -m and -c are known")
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    return code


def _write_names(path: Path, names: Iterable[str]) -> None:
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps(sorted(names)))
    os.replace(aside, path)


def _read_names(path: Path) -> List[str]:
    return json.loads(path.read_text()) if path.exists() else []


def _import(names: Iterable[str]) -> None:
    for name in names:
        # A command is not a module to others; benchmarks are the harness's.
        if not name.startswith(("__", "espnet_fsqdiff.bin.", "benchmarks")):
            try:
                importlib.import_module(name)
            except Exception:  # some modules exist only inside of others
                continue


def _import_news(folder: Path) -> None:
    """Import what commands had to, for the next ones and for the next server."""
    for news in folder.glob("*.news"):
        names = _read_names(news)
        news.unlink()
        _import(names)
        known = set(_read_names(folder / _KNOWN))
        _write_names(folder / _KNOWN, known.union(names))


def serve(folder: Path) -> None:
    """Answer calls until SIGTERM."""
    # Handlers are forks; nobody waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _import([*PRELOAD, *_read_names(folder / _KNOWN)])
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.listen(64)
    while True:
        connection, _ = server.accept()
        _import_news(folder)
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_handle(connection, folder))
        connection.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
