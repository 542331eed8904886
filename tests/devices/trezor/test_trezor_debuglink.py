"""The vendor's own test context drives the simulated Trezor over its debug link, as it drives the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bursar_devices.trezor import TrezorSimulator
from trezor_host import MODELS, path
from trezorlib import btc, device, exceptions, messages
from trezorlib.debuglink import TrezorTestContext, load_device
from trezorlib.messages import InputScriptType
from trezorlib.transport.udp import UdpTransport

WORDS = " ".join(["all"] * 12)
FIRST = "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"
Start = Callable[..., TrezorSimulator]


@pytest.fixture
def context(model: str, trezor: Start) -> Iterator[Any]:
    simulator = trezor(model, initialized=False, human=None)
    made = TrezorTestContext(UdpTransport(simulator.location.removeprefix("udp:")))
    made.simulator = simulator
    yield made
    made.debug.close()
    made.transport.close()


def shown(session: Any) -> str:
    witness = InputScriptType.SPENDWITNESS
    where = path("m/84h/0h/0h/0/0")
    return str(btc.get_address(session, "Bitcoin", where, script_type=witness, show_display=True))


def load(context: Any, **options: Any) -> None:
    given = {"pin": None, "passphrase_protection": False, "label": "t"} | options
    load_device(context.get_seedless_session(), mnemonic=WORDS, **given)


@pytest.mark.parametrize("model", MODELS)
def test_loaded_and_confirmed_by_itself(context: Any) -> None:
    load(context)
    assert context.refresh_features().initialized
    assert shown(context.get_session()) == FIRST
    assert context.debug.state().mnemonic_secret == WORDS.encode()


@pytest.mark.parametrize("model", MODELS)
def test_expected_responses(context: Any) -> None:
    load(context)
    session = context.get_session()
    with context:
        context.set_expected_responses(
            [messages.ButtonRequest(code=messages.ButtonRequestType.Address), messages.Address(address=FIRST)]
        )
        shown(session)


@pytest.mark.parametrize("model", MODELS)
def test_a_press_on_no(context: Any) -> None:
    load(context)
    session = context.get_session()

    def flow() -> Iterator[None]:
        yield
        context.debug.press_no()

    with context:
        context.set_input_flow(flow)
        with pytest.raises(exceptions.Cancelled):
            device.apply_settings(session, label="new")
    assert context.refresh_features().label == "t"


@pytest.mark.parametrize("model", ["T1B1"])
def test_no_on_a_trezor_ones_address_turns_it_over(context: Any) -> None:
    load(context)
    session = context.get_session()
    pressed = []

    def flow() -> Iterator[None]:
        for press in (context.debug.press_no, context.debug.press_no, context.debug.press_yes):
            yield
            pressed.append(press)
            press()

    with context:
        context.set_input_flow(flow)
        assert shown(session) == FIRST
    assert len(pressed) == 3


@pytest.mark.parametrize("model", MODELS)
def test_a_pin(context: Any) -> None:
    load(context, pin="1234")
    session = context.get_session()
    context.lock()
    with context:
        context.use_pin_sequence(["1234"])
        assert shown(session) == FIRST


@pytest.mark.parametrize("model", MODELS)
def test_a_wipe_on_the_wire(context: Any) -> None:
    load(context)
    context.get_seedless_session().call(messages.WipeDevice())
    context.reset_instance()
    assert context.refresh_features().initialized is False


@pytest.mark.parametrize("model", ["T2T1", "T3T1"])
def test_the_screen_of_a_later_model_can_be_read(context: Any) -> None:
    load(context)
    session = context.get_session()
    read = []

    def flow() -> Iterator[None]:
        yield
        read.append(context.debug.read_layout().text_content().replace(" ", ""))
        context.debug.press_yes()

    with context:
        context.set_input_flow(flow)
        shown(session)
    assert FIRST in read[0]
