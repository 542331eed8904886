"""The Speculos runner on a stand-in for Speculos: start, pages, presses, a human, the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bursar_devices import humans
from bursar_devices.attending import attended
from bursar_devices.device import Device, Kind, Page, Press
from bursar_devices.emulators import EmulatorError, SpeculosDevice

sys.path.insert(0, str(Path(__file__).parent))
from speculos_stand_in import BEGIN, QUIT, TRAP, with_apdu_client

REVIEW = Page("Review message")
MESSAGE = Page("Message", ("hello", "world"))
SIGN = Page("Sign message")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SpeculosDevice]:
    """A function that makes the runner, with a Python in which the stand-in is called speculos."""
    package = tmp_path / "library" / "speculos"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("speculos_stand_in.py"), package / "main.py")
    program = (
        "import sys, runpy; sys.path.insert(0, sys.argv[1]); sys.argv[:3] = []; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    with_apdu_client(package)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -c "{program}" "{package.parent}" "$@"\n')
    arm = tmp_path / "qemu-arm-static"
    arm.write_text("#!/bin/sh\n")
    for file in (python, arm):
        file.chmod(0o755)
    monkeypatch.setenv("BURSAR_SPECULOS_PYTHON", str(python))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    app = tmp_path / "app.elf"
    app.touch()
    return lambda **options: SpeculosDevice(app, **options)


def shown(device: Device, within: float = 5.0) -> Page | None:
    end = time.monotonic() + within
    while (page := device.page()) is None and time.monotonic() < end:
        time.sleep(0.01)
    return page


def test_it_introduces_itself(make: Callable[..., SpeculosDevice]) -> None:
    with make() as device:
        assert isinstance(device, Device)
        assert (device.family, device.model, device.kind) == ("ledger", "nanosp", Kind.EMULATOR)
        assert (device.app, device.firmware) == ("Stand-in", "1.2.3")
        assert device.selector == f"ledger:{device.location}"
        assert device.location.startswith("tcp:127.0.0.1:")
        assert device.page() is None


def test_accepting_turns_the_pages_and_signs(make: Callable[..., SpeculosDevice]) -> None:
    with make() as device:
        device._rest.apdu(bytes.fromhex(BEGIN))
        for page in (REVIEW, MESSAGE, SIGN):
            assert shown(device) == page
            device.press(Press.ACCEPT)
        assert device.page() is None  # "Message signed" goes away by itself
        assert device.pages == [REVIEW, MESSAGE, SIGN]


@pytest.mark.parametrize("turned", [0, 1, 2])
def test_refusing_works_on_every_page(make: Callable[..., SpeculosDevice], turned: int) -> None:
    with make() as device:
        device._rest.apdu(bytes.fromhex(BEGIN))
        for _ in range(turned):
            device.press(Press.ACCEPT)
        device.press(Press.REFUSE)
        assert device._words() == "Message rejected"


def test_accepting_on_the_page_that_refuses_goes_back_and_accepts(make: Callable[..., SpeculosDevice]) -> None:
    with make() as device:
        device._rest.apdu(bytes.fromhex(BEGIN))
        for _ in range(3):
            device._rest.button("right")
        device.press(Press.ACCEPT)
        assert device._words() == "Message signed"


def test_a_human_of_its_own(make: Callable[..., SpeculosDevice]) -> None:
    with make(human=humans.approve()) as device:
        device._rest.apdu(bytes.fromhex(BEGIN))
        end = time.monotonic() + 5
        while device._words() != "Message signed" and time.monotonic() < end:
            time.sleep(0.02)
        device.human = humans.reject()
        device._rest.apdu(bytes.fromhex(BEGIN))
        while device._words() != "Message rejected" and time.monotonic() < end:
            time.sleep(0.02)
        assert device._words() == "Message rejected"
        assert device.pages == [REVIEW, MESSAGE, SIGN, REVIEW]


def test_a_human_put_in_front_of_it(make: Callable[..., SpeculosDevice]) -> None:
    with make() as device:
        with attended(device, humans.reject_at_page("Sign message")) as pages:
            device._rest.apdu(bytes.fromhex(BEGIN))
            end = time.monotonic() + 5
            while device._words() != "Message rejected" and time.monotonic() < end:
                time.sleep(0.02)
        assert pages == [REVIEW, MESSAGE, SIGN]
        assert device._words() == "Message rejected"


def test_a_page_without_a_way_to_refuse_is_told(make: Callable[..., SpeculosDevice]) -> None:
    with make() as device:
        device._rest.apdu(bytes.fromhex(TRAP))
        assert device.page() == Page("An unknown page")
        with pytest.raises(EmulatorError, match="found no page that refuses: the screen is 'An unknown page'"):
            device.press(Press.REFUSE)


def test_an_app_that_quits_shows_nothing_and_cannot_be_pressed(make: Callable[..., SpeculosDevice]) -> None:
    from bursar_devices.emulators.speculos_rest import NoAnswerError

    with make() as device:
        with pytest.raises(NoAnswerError):
            device._rest.apdu(bytes.fromhex(QUIT))
        assert device.page() is None
        with pytest.raises(EmulatorError, match="the app is gone"):
            device.press(Press.ACCEPT)


def test_the_wrong_app_is_refused(make: Callable[..., SpeculosDevice]) -> None:
    with pytest.raises(EmulatorError, match=r"app\.elf is the app 'Stand-in', not 'Bitcoin'"), make(app="Bitcoin"):
        pass


def test_what_speculos_said_is_in_the_error(make: Callable[..., SpeculosDevice]) -> None:
    with pytest.raises(EmulatorError, match="the seed is void"), make(mnemonic="void"):
        pass


def test_what_is_missing_is_named(make: Callable[..., SpeculosDevice], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmulatorError, match="is no file"), SpeculosDevice("absent.elf"):
        pass
    with pytest.raises(ValueError, match="'nanos' is not known: one of nanosp"):
        make(model="nanos")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EmulatorError, match="install the system package qemu-user-static"), make():
        pass


def test_devices_run_side_by_side(make: Callable[..., SpeculosDevice]) -> None:
    with make() as one, make() as other:
        assert one.location != other.location
        one._rest.apdu(bytes.fromhex(BEGIN))
        assert shown(one) == REVIEW
        assert other.page() is None


def test_closing_twice_leaves_nothing(make: Callable[..., SpeculosDevice]) -> None:
    with make() as device:
        log = device.log
        device.close()
        device.close()
    assert log is not None
    assert not log.parent.exists()
