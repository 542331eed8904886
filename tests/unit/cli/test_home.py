"""The wallet's folder: found, private, never made by looking."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bursar.cli.home import Home, locate, write_private
from bursar.errors import InvalidInputError


def test_option_then_environment_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_HOME", "/somewhere")
    assert locate("~/x").folder == Path("~/x").expanduser()
    assert locate(None).folder == Path("/somewhere")
    monkeypatch.delenv("BURSAR_HOME")
    assert locate(None).folder == Path("~/.bursar").expanduser()
    assert locate("relative").folder.is_absolute()


def test_create_makes_private_folders_also_of_open_ones(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.folder.mkdir(mode=0o755)
    home.create()
    home.create()
    for folder in (home.folder, home.keystores):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_require(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="bursar init"):
        Home(tmp_path).require()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "ä", ".hidden", "a\n"])
def test_keystore_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Home(tmp_path).keystore(name)
    assert caught.value.code == "input.name"
    assert Home(tmp_path).keystore("main-2_a") == tmp_path / "keystores" / "main-2_a.json"


def test_write_private_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    write_private(path, "version = 1\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_private(path, "other")
    assert path.read_text() == "version = 1\n"
