"""The process around the command: closed and full streams, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import SAMPLES, heed_interrupts

GRADCAM = f'"{sys.executable}" -m gradcam_cli image -m tiny --save overlay'
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GRADCAM_")}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="a POSIX shell is needed")]


@pytest.fixture(autouse=True)
def _picture(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("a.png")


def shell(command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", command], capture_output=True, check=False, env=ENVIRONMENT)


def test_closed_streams_are_no_fault():
    done = shell(f"{GRADCAM} a.png <&- >&- 2>&-")
    assert done.returncode == 0
    assert sorted(os.listdir("gradcam_output")) == [".gradcam", "a_overlay.png"]
    with Image.open("gradcam_output/a_overlay.png") as picture:
        picture.load()


def test_closed_standard_input_is_empty():
    done = shell(f"{GRADCAM} - <&-")
    assert done.returncode == 1
    assert b"error: standard input: is empty" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_streams():
    done = shell(f"{GRADCAM} -q a.png > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        b"error: standard output: cannot be written: the disk is full",
        b"  hint: free some space, or choose another disk",
    ]
    assert shell(f"{GRADCAM} -q missing.png 2> /dev/full").returncode == 2


def a_long_run() -> subprocess.Popen[bytes]:
    """Start explaining many pictures, and wait for the first line on stdout."""
    Path("in").mkdir()
    for position in range(300):
        os.link("a.png", f"in/{position}.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", "image", "-m", "tiny", "in", "--batch-size", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["importing", "writing"])
def test_a_signal_ends_the_run_in_good_order(stop, when):
    """Also while the first modules are imported, and with the exit code that shells give such a process."""
    if when == "importing":
        Path("click.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(9)\n")
    process = a_long_run()
    started = time.monotonic()
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + stop
    assert err.count(b"error: interrupted") == err.count(b"hint: ") == 1
    assert b"Traceback" not in err
    assert time.monotonic() - started < 8
    assert not list(Path().rglob("*.part"))


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_impatience_breaks_nothing(first):
    """Signals that follow the first one, while what was begun is finished, or while the process ends."""
    process = a_long_run()
    process.send_signal(first)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 143)  # of two that come at once either may be the first
    assert err.count(b"error: interrupted") == 1
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err
    assert not list(Path().rglob("*.part"))


def ended(script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script that may be interrupted to its end."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, env=ENVIRONMENT, check=False,
        preexec_fn=heed_interrupts,
    )  # fmt: skip


def test_a_signal_behind_the_end_of_the_work_changes_nothing():
    """What ends with the process is not torn apart."""
    code = "import atexit, os, signal, sys; from gradcam_cli.cli import entry\n"
    code += "atexit.register(lambda: [os.kill(os.getpid(), number) for number in entry.SIGNALS])\n"
    code += "entry.main(['methods'])"
    done = ended(code)
    assert done.returncode == 0
    assert done.stderr == b""


def test_the_process_ends_as_it_is():
    """What is registered for the end is done and what is printed arrives, but nothing is taken down piece by piece."""
    code = "import atexit, threading, time; from gradcam_cli.cli import entry\n"
    code += "class Library:\n    def __del__(self): print('taken down', flush=True)\n"
    code += "library = Library()\n"
    code += "atexit.register(print, 'registered')\n"
    code += "threading.Thread(target=time.sleep, args=(60,)).start()\n"
    code += "entry.main(['methods', '--json'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ENVIRONMENT, check=False, timeout=30)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == b"registered"
    assert len(done.stdout.splitlines()) > 20
    assert b"taken down" not in done.stdout


@pytest.mark.parametrize(
    "does", ["raise ImportError('half a module') from None", "pass", "os.abort()"], ids=["breaks", "swallows", "aborts"]
)
def test_a_signal_while_a_library_is_imported_ends_the_process_at_once(does):
    """Whatever the library would make of an exception."""
    kill = f"import os, signal, time\ntry:\n    os.kill(os.getpid(), {signal.SIGTERM:d})\n    time.sleep(9)\n"
    Path("click.py").write_text(f"{kill}except BaseException:\n    {does}\n")
    done = shell(f"PYTHONPATH=. {GRADCAM} a.png")
    assert done.returncode == 143
    assert done.stderr.startswith(b"error: interrupted\n")
    assert done.stderr.count(b"\n") == 2


LOST = """
import os, signal, time
def run(arguments):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(9)
    except BaseException:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(9)
from gradcam_cli.cli import main
from gradcam_cli.cli import entry
main.run = run
entry.main(["methods"])
"""


def test_a_signal_behind_one_that_was_lost_is_heeded():
    """As exceptions are that are raised while objects are cleared away."""
    done = ended(LOST)
    assert done.returncode == 143
    assert done.stderr.startswith(b"error: interrupted\n")


TAKEN = """
import os, signal, sys, time
def run(arguments):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(9)
    except BaseException:
        print("error: weights 'a': not a whole safetensors file", file=sys.stderr)
    return int(arguments[0])
from gradcam_cli.cli import main
from gradcam_cli.cli import entry
main.run = run
entry.main(sys.argv[1:])
"""


@pytest.mark.parametrize(("code", "ends"), [(1, 143), (0, 0), (3, 3)])
def test_a_signal_that_a_library_takes_for_an_error_of_its_own(code, ends):
    """As what reads safetensors does, whose Rust makes its own exception of ours; what was done to the end is done."""
    done = ended(TAKEN, str(code))
    assert done.returncode == ends
    assert (b"error: interrupted\n" in done.stderr) == (code == 1)


def test_imports_are_not_searched_for_garbage_and_what_follows_is(tmp_path):
    command = """
import gc, sys
begun = []
gc.callbacks.append(lambda phase, info: begun.append(info["generation"]))
import atexit
atexit.register(lambda: print(begun.count(2), gc.isenabled(), gc.get_freeze_count() > 100_000))
from gradcam_cli.cli.entry import main
main(["image", sys.argv[1], "-m", "tiny", "-o", sys.argv[2], "-q"])
"""
    cat = SAMPLES / "cat.jpg"
    done = subprocess.run(
        [sys.executable, "-c", command, cat, tmp_path], capture_output=True, env=ENVIRONMENT, check=True
    )
    assert done.stdout.splitlines()[-1] == b"0 True True"


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="no glibc here")
def test_what_one_thread_has_freed_another_finds():
    threads = """
import ctypes, os, threading
from gradcam_cli.cli.tuning import hold_memory
hold_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(3)
def work():
    libc.malloc(ctypes.c_size_t(100_000))
    together.wait()
workers = [threading.Thread(target=work) for _ in range(2)]
for each in workers: each.start()
together.wait()
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""
    held = subprocess.run([sys.executable, "-c", threads], capture_output=True, check=True, env=ENVIRONMENT).stdout
    assert held.count(b"<heap nr=") == 1


def test_a_signal_within_an_import_leaves_no_temporary_files(tmp_path):
    """The result for standard output is made in a directory; the run's modules are imported when that is there."""
    code = f"""
import importlib.abc, os, signal, sys, threading
class Signal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "gradcam_cli.pipeline.images.run":
            assert os.listdir({str(tmp_path / "tmp")!r}), "there is no directory yet"
            threading.active_count = lambda: 1  # a library's threads do not matter here
            os.kill(os.getpid(), signal.SIGTERM)
sys.meta_path.insert(0, Signal())
from gradcam_cli.cli.entry import main
main(["image", "-q", "-m", "tiny", "a.png", "-o", "-"])
"""
    (tmp_path / "tmp").mkdir()
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment)
    assert done.returncode == 143, done.stderr
    assert done.stdout == b""
    assert os.listdir(tmp_path / "tmp") == []
