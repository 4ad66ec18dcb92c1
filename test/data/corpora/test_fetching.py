"""Downloads over a server that breaks off; archives that would do harm."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from espnet_fsqdiff.data.corpora import fetching
from espnet_fsqdiff.data.corpora.fetching import Source, fetch, obtain, unpack
from espnet_fsqdiff.errors import InputError

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; `server` says how often it breaks off, and whether it resumes."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        if self.path != "/corpus.bin":
            self.send_error(404)
            return
        begin, asked = 0, self.headers.get("Range")
        if asked and self.server.resumes:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.end_headers()
                return
            self.send_response(206)
            where = f"{begin + self.server.offset}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self.send_header("Content-Range", f"bytes {where}")
        else:
            self.send_response(200)
        part = CONTENT[begin:]
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            part = part[: len(part) // 2]
        self.wfile.write(part)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.breaks, server.resumes, server.offset, server.ranges = 0, True, 0, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/corpus.bin"
    yield server
    server.shutdown()
    server.server_close()


def test_a_broken_download_goes_on(server, tmp_path):
    server.breaks = 2
    path = fetch(Source(server.url, SHA256), tmp_path)
    assert path == tmp_path / "corpus.bin" and path.read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]
    # It is there now.
    fetch(Source(server.url, SHA256), tmp_path)
    assert len(server.ranges) == 3


def test_a_later_run_goes_on(server, tmp_path):
    server.breaks = fetching.TRIES
    with pytest.raises(
        InputError, match="cannot be downloaded .*broke.*run this again"
    ):
        fetch(Source(server.url, SHA256), tmp_path)
    assert not (tmp_path / "corpus.bin").exists()
    have = (tmp_path / "corpus.bin.part").stat().st_size
    assert 0 < have < len(CONTENT)
    assert fetch(Source(server.url, SHA256), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={have}-"


def test_a_part_that_was_whole_is_taken(server, tmp_path):
    (tmp_path / "corpus.bin.part").write_bytes(CONTENT)
    assert fetch(Source(server.url, SHA256), tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "corpus.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(Source(server.url, SHA256), tmp_path).read_bytes() == CONTENT


def test_a_server_that_cannot_resume(server, tmp_path):
    server.breaks, server.resumes = 1, False
    assert fetch(Source(server.url, SHA256), tmp_path).read_bytes() == CONTENT


def test_a_server_that_sends_another_part(server, tmp_path):
    server.breaks, server.offset = 1, 7
    with pytest.raises(InputError, match="another part than it was asked for"):
        fetch(Source(server.url), tmp_path)
    assert not (tmp_path / "corpus.bin").exists()


def test_a_wrong_checksum(server, tmp_path):
    with pytest.raises(InputError, match=f"SHA-256 is {SHA256}, not 00"):
        fetch(Source(server.url, "00"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_refusal_is_final(server, tmp_path):
    with pytest.raises(InputError, match="404"):
        fetch(Source(server.url.replace("corpus", "other")), tmp_path)
    assert len(server.ranges) == 1


def archive_of(path, *members):
    """A tar or zip archive of (name, content) pairs."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as z:
            for name, content in members:
                z.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, tarfile.TarInfo):
                info = content
                info.name = name
                tar.addfile(info)
                continue
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=["this", "before 3.11.4"])
def python(request, monkeypatch):
    """With and without the filters of tarfile."""
    if request.param != "this":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_unpack(tmp_path, python, name):
    archive = archive_of(tmp_path / name, ("top/text", b"one"), ("top/wav/x", b"two"))
    unpack(archive, tmp_path / "corpus")
    assert (tmp_path / "corpus/top/text").read_bytes() == b"one"
    assert (tmp_path / "corpus/top/wav/x").read_bytes() == b"two"
    assert {p.name for p in tmp_path.iterdir()} == {name, "corpus"}


def link(target):
    info = tarfile.TarInfo()
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def device():
    info = tarfile.TarInfo()
    info.type = tarfile.CHRTYPE
    return info


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name, member",
    [
        ("a.zip", ("../escape", b"x")),
        ("a.tar.gz", ("../escape", b"x")),
        ("a.tar.gz", ("link", link("/etc"))),
        ("a.tar.gz", ("link", link("../../escape"))),
        ("a.tar.gz", ("device", device())),
    ],
)
def test_harmful_archives_are_refused(tmp_path, python, name, member):
    folder = tmp_path / "inner"
    folder.mkdir()
    archive = archive_of(folder / name, ("good", b"x"), member)
    with pytest.raises(InputError, match="outside of the folder or is no plain"):
        unpack(archive, folder / "corpus")
    assert not (folder / "corpus").exists() and not (folder / "escape").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_that_is_cut_leaves_nothing(tmp_path, name):
    archive = archive_of(tmp_path / name, *((f"{i}", CONTENT) for i in range(9)))
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_obtain_does_each_step_once(tmp_path):
    archive = archive_of(tmp_path / "a.zip", ("text", b"one"))
    source = Source(archive.as_uri())
    assert obtain(source, tmp_path / "downloads", "corpus").name == "corpus"
    archive.unlink()
    (tmp_path / "downloads/a.zip").unlink()
    obtain(source, tmp_path / "downloads", "corpus")
