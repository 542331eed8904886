"""Host files made to keep the checks busy for ever."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.keys.scheme import Scheme
from bursar.signing.change import change_outputs
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, question, stranger
from bursar.signing.protocols import SignerInfo
from bursar.signing.spending import check_inputs

MANY = 4000


@pytest.fixture(scope="module")
def crowded() -> Psbt:
    """One honest input and one honest change output, whose origin thousands of made-up keys claim as well."""
    account = stranger(Profile(network=Network.MAIN), Scheme.BIP86)
    psbt = question([Spend(account)], change=account)
    for one, place in ((psbt.inputs[0], (0, 0)), (psbt.outputs[1], (1, 3))):
        origin = account.key_origin(*place)
        for number in range(MANY):
            one.tap_bip32_derivations[number.to_bytes(32, "big")] = ((), origin)
    return Psbt.parse(psbt.serialize())


def test_a_path_named_by_thousands_of_keys_is_derived_once(crowded: Psbt) -> None:
    account = stranger(Profile(network=Network.MAIN), Scheme.BIP86)
    started = time.monotonic()
    assert change_outputs(crowded, account) == (1,)
    check_inputs(crowded, account)
    assert time.monotonic() - started < 1.5


def test_what_a_device_says_of_itself_cannot_command_a_terminal() -> None:
    """Whatever backend forgot to clean it: a label stands in errors, tables and questions to a human."""
    hostile = "\x1b]0;x\x07\x1b[2Jmain\u202e\r\n"
    info = SignerInfo("mine", "usb:1", hostile, firmware=hostile, label=hostile, trouble=hostile)
    for text in (info.model, info.firmware, info.label, info.trouble):
        assert text is not None
        assert text.isprintable()
        assert "main" in text
    assert repr(replace(info, label=None)).isprintable()
