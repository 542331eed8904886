"""Private files: nothing others can read or change."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.backends.trezor.private import home_folder, read_private, write_private
from bursar.errors import SignerError


def test_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path / "home"))
    assert home_folder() == tmp_path / "home" / "trezor"


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
