"""A program that is run for a test ends with it, however the test ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bursar_devices.emulators.program import EmulatorError, Program, free_port_pair, fresh_folder

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pids", "w").write(f"{os.getpid()} {inner.pid}")
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with fresh_folder("test") as name:
        yield Path(name)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform != "linux":
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pids: list[int], within: float = 15.0) -> bool:
    end = time.monotonic() + within
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def pids_in(folder: Path, within: float = 10.0) -> list[int] | None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        path = folder / "pids"
        if path.is_file() and len(words := path.read_text().split()) == 2:
            return [int(word) for word in words]
        time.sleep(0.02)
    return None


def test_stop_ends_a_program_that_ignores_the_request_and_what_it_started(folder: Path) -> None:
    program = Program([sys.executable, "-c", STUBBORN], environment=os.environ, folder=folder)
    pids = program.wait_for(lambda: pids_in(folder, 0.1), "process ids")
    assert program.running
    program.stop()
    program.stop()
    assert gone(pids)
    assert not program.running
    assert "up" in program.last_words()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_test_leaves_no_program_behind(folder: Path, end: signal.Signals) -> None:
    script = textwrap.dedent(
        f"""
        import os, sys, time
        from pathlib import Path
        from bursar_devices.emulators.program import Program
        Program([sys.executable, "-c", {STUBBORN!r}], environment=os.environ, folder=Path(sys.argv[1]))
        time.sleep(600)
        """
    )
    test = subprocess.Popen([sys.executable, "-c", script, str(folder)])
    pids = pids_in(folder)
    assert pids is not None
    test.send_signal(end)
    test.wait()
    assert gone(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent death signal is Linux")
def test_a_killed_supervisor_takes_its_program_along(folder: Path) -> None:
    program = Program([sys.executable, "-c", STUBBORN], environment=os.environ, folder=folder)
    pids = program.wait_for(lambda: pids_in(folder, 0.1), "process ids")
    os.kill(program._process.pid, signal.SIGKILL)
    assert gone(pids[:1])
    os.kill(pids[1], signal.SIGKILL)
    program.stop()


def test_a_supervisor_that_is_asked_to_end_ends_its_program(folder: Path) -> None:
    program = Program([sys.executable, "-c", STUBBORN], environment=os.environ, folder=folder)
    pids = program.wait_for(lambda: pids_in(folder, 0.1), "process ids")
    os.kill(program._process.pid, signal.SIGTERM)
    os.kill(program._process.pid, signal.SIGTERM)
    assert gone([*pids, program._process.pid])
    program.stop()


def test_a_killed_group_leaves_no_program_behind(folder: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path; from bursar_devices.emulators.program import Program; "
        f"p = Program([sys.executable, '-c', {STUBBORN!r}], environment=os.environ, folder=Path(sys.argv[1])); "
        "Path(sys.argv[1], 'new').write_text(str(p._process.pid)); "
        "Path(sys.argv[1], 'new').rename(Path(sys.argv[1], 'supervisor')); time.sleep(600)"
    )
    test = subprocess.Popen([sys.executable, "-c", script, str(folder)], start_new_session=True)
    pids = pids_in(folder)
    assert pids is not None
    end = time.monotonic() + 10
    while not (folder / "supervisor").is_file() and time.monotonic() < end:
        time.sleep(0.02)
    supervisor = int((folder / "supervisor").read_text())
    os.killpg(test.pid, signal.SIGTERM)
    test.wait()
    assert gone([*pids, supervisor])


def test_a_thread_that_ends_does_not_take_the_program_along(folder: Path) -> None:
    import threading

    started: list[Program] = []

    def start() -> None:
        started.append(Program([sys.executable, "-c", STUBBORN], environment=os.environ, folder=folder))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    pids = started[0].wait_for(lambda: pids_in(folder, 0.1), "process ids")
    time.sleep(0.3)
    assert alive(pids[0])
    started[0].stop()
    assert gone(pids)


def test_a_program_that_ends_too_early_says_why(folder: Path) -> None:
    program = Program([sys.executable, "-c", "raise SystemExit('no seed')"], environment=os.environ, folder=folder)
    with pytest.raises(EmulatorError, match="ended with 1: no seed"):
        program.wait_for(lambda: None, "screen")
    program.stop()


def test_a_program_that_never_gets_ready_is_named(folder: Path) -> None:
    program = Program([sys.executable, "-c", "import time; time.sleep(60)"], environment=os.environ, folder=folder)
    with pytest.raises(EmulatorError, match=r"shows no screen in 0\.2 s: it said nothing"):
        program.wait_for(lambda: None, "screen", within=0.2)
    program.stop()


def test_ports_come_in_free_pairs() -> None:
    import socket

    port = free_port_pair()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", port))
        two.bind(("127.0.0.1", port + 1))
        assert free_port_pair() not in (port - 1, port, port + 1)
