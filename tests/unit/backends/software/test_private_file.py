"""Private files: checked on reading, whole on writing, one process at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.backends.software import private_file
from bursar.backends.software.private_file import FileLock, make_folder, read_private, write_private
from bursar.errors import CorruptKeystoreError, KeystoreBusyError, KeystoreError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "keystores" / "main.json"
    write_private(path, b"one")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read(file: Path) -> None:
    assert read_private(file) == b"one"
    write_private(file, b"two")
    assert read_private(file) == b"two"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "a" / "b" / "main.json", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "b" / "main.json") == 0o600
    assert mode(tmp_path / "a" / "b") == mode(tmp_path / "a") == 0o700


def test_writing_leaves_nothing_beside_the_file(file: Path) -> None:
    write_private(file, b"two")
    assert [path.name for path in file.parent.iterdir()] == ["main.json"]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644])
def test_a_file_others_can_read_is_refused_with_the_remedy(file: Path, bits: int) -> None:
    file.chmod(bits)
    with pytest.raises(KeystoreError, match=f"chmod 600 {file}") as caught:
        read_private(file)
    assert caught.value.code == "keystore.permissions"


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o722])
def test_a_folder_others_can_change_is_refused_with_the_remedy(file: Path, bits: int) -> None:
    file.parent.chmod(bits)
    for attempt in (lambda: read_private(file), lambda: write_private(file, b"x")):
        with pytest.raises(KeystoreError, match=f"chmod 700 {file.parent}"):
            attempt()


def test_a_symbolic_link_is_refused(file: Path) -> None:
    link = file.with_name("link.json")
    link.symlink_to(file)
    with pytest.raises(KeystoreError, match="symbolic link"):
        read_private(link)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(mode=0o700), lambda path: os.mkfifo(path, 0o600)])
def test_what_is_no_plain_file_is_refused(file: Path, make: object) -> None:
    other = file.with_name("other.json")
    make(other)  # type: ignore[operator]
    with pytest.raises(KeystoreError, match="no plain file"):
        read_private(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_refused(file: Path) -> None:
    os.chown(file, 12345, -1)
    with pytest.raises(KeystoreError, match="belongs to user 12345"):
        read_private(file)


def test_a_missing_file_has_its_own_code(tmp_path: Path) -> None:
    for path in (tmp_path / "no.json", tmp_path / "no" / "no.json"):
        with pytest.raises(KeystoreError) as caught:
            read_private(path)
        assert caught.value.code == "keystore.missing"


def test_a_huge_file_is_not_read(file: Path) -> None:
    os.truncate(file, 1 << 30)
    with pytest.raises(CorruptKeystoreError, match="larger than any keystore"):
        read_private(file)


@pytest.mark.parametrize("step", ["_sync", "_sync_folder"])
def test_a_failure_while_writing_keeps_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_file, step, full)
    with pytest.raises(KeystoreError, match="No space left"):
        write_private(file, b"two")
    assert read_private(file) == (b"one" if step == "_sync" else b"two")
    assert [path.name for path in file.parent.iterdir()] == ["main.json"]


def test_a_planted_temporary_file_is_not_followed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_file.secrets, "token_hex", lambda _: "0")
    victim = file.with_name("victim")
    file.with_name(f".{file.name}.0.tmp").symlink_to(victim)
    with pytest.raises(KeystoreError):
        write_private(file, b"two")
    assert not victim.exists()
    assert read_private(file) == b"one"


def test_folders_that_exist_keep_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "new")
    assert mode(tmp_path) == 0o755


def test_a_lock_is_exclusive_and_given_back(file: Path) -> None:
    with FileLock(file), pytest.raises(KeystoreBusyError) as caught:
        FileLock(file).acquire()
    assert caught.value.retryable
    with FileLock(file):
        pass
    lock = FileLock(file)
    lock.release()


LOCKER = """
import sys
from pathlib import Path
from bursar.backends.software.private_file import FileLock
FileLock(Path(sys.argv[1])).acquire() if sys.argv[2] == "try" else None
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_lock_holds_between_processes_and_ends_with_a_kill(file: Path) -> None:
    command = [sys.executable, "-c", LOCKER, str(file), "hold"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(KeystoreBusyError):
            FileLock(file).acquire()
        other.kill()
        other.wait()
    with FileLock(file):
        pass


WRITER = """
import sys
from pathlib import Path
from bursar.backends.software.private_file import write_private
print("ready", flush=True)
while True:
    for letter in b"ab":
        write_private(Path(sys.argv[1]), bytes([letter]) * 100_000)
"""


def test_a_writer_killed_at_any_moment_leaves_one_whole_file(file: Path) -> None:
    for delay in (0.0, 0.01, 0.03):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            try:
                writer.wait(timeout=0.05 + delay)
            except subprocess.TimeoutExpired:
                writer.kill()
        assert read_private(file) in (b"a" * 100_000, b"b" * 100_000, b"one")


@pytest.mark.parametrize("path", [Path("/"), Path("a\0b.json"), Path("\ud800.json"), Path("a\0/b.json")])
def test_what_can_be_no_file_is_refused_and_told_safely(path: Path) -> None:
    for attempt in (read_private, FileLock, lambda name: write_private(name, b"")):
        with pytest.raises(KeystoreError, match="no name of a file") as caught:
            attempt(path)
        assert caught.value.code == "keystore.io"
        assert caught.value.message.isprintable()
