import hashlib
import http.server
import threading

import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models import download, registry

CONTENT = bytes(range(256)) * 3000
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]
NAME = f"net-{DIGEST}.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    released = threading.Event()

    def do_GET(self):
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/" + NAME)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path.startswith("/stalled"):
            self.wfile.write(CONTENT[:1000])
            self.wfile.flush()
            self.released.wait(10)
        elif self.path.startswith("/cut"):
            self.wfile.write(CONTENT[:-1000])
        elif self.path.startswith("/other"):
            self.wfile.write(CONTENT[::-1])
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serve on this machine; plain http is allowed for its sake."""
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Handler.released.clear()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    Handler.released.set()
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_download_arrives_whole_and_is_told_about(server, empty_cache):
    told = []
    path = download.fetch(f"{server}/{NAME}", DIGEST, lambda done, total: told.append((done, total)))
    assert path == empty_cache / NAME
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)
    assert [entry.name for entry in empty_cache.iterdir()] == [NAME]


def test_what_is_cached_is_not_fetched(empty_cache):
    empty_cache.mkdir(parents=True)
    (empty_cache / NAME).write_bytes(b"cached")
    assert download.fetch(f"https://unreachable.invalid/{NAME}", DIGEST).read_bytes() == b"cached"


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing", "Not Found"), ("cut", "bytes"), ("other", "SHA-256"), ("stalled", "timed out"), ("away", "https")],
)
def test_a_failed_download_is_an_error_and_leaves_nothing(place, words, server, empty_cache):
    with pytest.raises(ModelError, match=words) as caught:
        download.fetch(f"{server}/{place}/{NAME}", DIGEST)
    assert NAME in caught.value.message
    assert "model tiny" in caught.value.hint
    assert list(empty_cache.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(server, empty_cache):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch(f"{server}/{NAME}", DIGEST, interrupt)
    assert list(empty_cache.iterdir()) == []


def test_no_server(server, empty_cache):
    with pytest.raises(ModelError, match="refused"):
        download.fetch(f"http://127.0.0.1:1/{NAME}", DIGEST)


def test_only_https(empty_cache):
    with pytest.raises(ModelError, match="https"):
        download.fetch(f"http://127.0.0.1:1/{NAME}", DIGEST)


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot download"):
        download.fetch(f"https://127.0.0.1:1/{NAME}", DIGEST)


def test_the_address_of_auto_is_torchvisions():
    default = registry.describe(registry.AUTO_MODEL).default
    assert (default.location, default.hash) == (registry.AUTO_WEIGHTS, registry.AUTO_DIGEST)
