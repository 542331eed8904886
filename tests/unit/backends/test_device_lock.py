"""The lock of a device: one program at a time, in a folder that nobody else can change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bursar.backends.device_lock import DeviceLock, lock_folder
from bursar.errors import SignerUnavailableError

HOLDER = """
import sys
from pathlib import Path
from bursar.backends.device_lock import DeviceLock
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


def test_a_lock_folder_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    planted = tmp_path / "bursar-1000"
    planted.symlink_to(mine)
    with pytest.raises(SignerUnavailableError) as caught:
        DeviceLock("tcp:127.0.0.1:9999", folder=planted).acquire()
    assert caught.value.code == "signer.lock"
    assert not list(mine.iterdir())


def test_a_lock_folder_that_others_may_change_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SignerUnavailableError) as caught:
        DeviceLock("tcp:127.0.0.1:9999", folder=tmp_path).acquire()
    assert caught.value.code == "signer.lock"
    assert not list(tmp_path.iterdir())


def test_locks_are_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert lock_folder() == tmp_path / "bursar"
    lock = DeviceLock("tcp:127.0.0.1:9999")
    lock.acquire()
    (file,) = (tmp_path / "bursar").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    lock.release()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert lock_folder().name.startswith("bursar-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    assert lock_folder().name.startswith("bursar-")
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SignerUnavailableError) as caught:
        DeviceLock("x", folder=blocked / "below").acquire()
    assert caught.value.code == "signer.lock"
