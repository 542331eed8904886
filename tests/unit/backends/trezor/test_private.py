"""Locks and private files: one program at a time, nothing others can read or change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bursar.backends.trezor.private import DeviceLock, home_folder, lock_folder, read_private, write_private
from bursar.errors import SignerError, SignerUnavailableError

HOLDER = """
import sys
from pathlib import Path
from bursar.backends.trezor.private import DeviceLock
with DeviceLock("webusb:001:2", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SignerUnavailableError, match=f"process {holder.pid} is using it") as caught:
            DeviceLock("webusb:001:2", folder).acquire()
        assert (caught.value.code, caught.value.retryable) == ("signer.busy", True)
        DeviceLock("webusb:001:3", folder).acquire()
        holder.kill()
    with DeviceLock("webusb:001:2", folder):
        pass  # it died, and its lock with it


def test_a_lock_is_given_back_once(tmp_path: Path) -> None:
    lock = DeviceLock("x" * 10_000 + "\n\0", tmp_path / "locks")
    lock.acquire()
    lock.release()
    lock.release()
    lock.acquire()
    lock.release()


def test_a_folder_of_locks_that_others_can_change_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir(mode=0o700)
    (tmp_path / "locks").chmod(0o777)
    with pytest.raises(SignerError, match="changed by others"):
        DeviceLock("x", tmp_path / "locks").acquire()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(SignerError, match="changed by others"):
        DeviceLock("x", tmp_path / "link").acquire()


def test_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path / "home"))
    assert home_folder() == tmp_path / "home" / "trezor"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert lock_folder() == tmp_path / "bursar"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    assert lock_folder().name.startswith("bursar-")


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    assert read_private(path) is None
    write_private(path, b"one")
    write_private(path, b"two")
    assert read_private(path) == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    write_private(tmp_path / "file", b"one")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(SignerError):
        read_private(tmp_path / "link")
