"""The conformance kit on every device: each demand of the signer contract, over the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices.device import Device, selector_of
from bursar_devices.humans import approve
from bursar_devices.manifest import DeviceSpec
from bursar_devices.prompting import BenchPrompt

from bursar.signing.conformance import CASES, Case, Profile, run_case
from bursar.signing.protocols import EthereumSigner, PersonalMessageSigner, Signer
from bursar.signing.registry import Registry

_ETHER = (EthereumSigner, PersonalMessageSigner)
BITCOIN_CASES = [case for case in CASES if case.needs not in _ETHER]
ETHER_CASES = [case for case in CASES if case.needs in (*_ETHER, Signer) or case.name == "addresses-are-shown"]


@pytest.fixture
def make_signer(make_device: Callable[..., Any]) -> Callable[[], Signer]:
    """A function that opens the one device of this test, with a human who accepts everything."""
    device = make_device()
    device.human = approve()

    def make() -> Signer:
        return Registry.installed().open(selector_of(device), BenchPrompt())

    return make


@pytest.mark.parametrize("case", BITCOIN_CASES, ids=lambda case: case.name)
@pytest.mark.needs("bitcoin", "p2pkh", "p2sh-p2wpkh", "p2wpkh", "taproot")
def test_with_bitcoin(case: Case, make_signer: Callable[[], Signer]) -> None:
    assert run_case(case, make_signer, profile=Profile())


@pytest.mark.parametrize("case", ETHER_CASES, ids=lambda case: case.name)
@pytest.mark.needs("ethereum")
def test_with_ethereum(
    case: Case, device_spec: DeviceSpec, make_signer: Callable[[], Signer], make_device: Callable[..., Device]
) -> None:
    if "apps" in device_spec.capabilities:
        case_profile = Profile(schemes=())
    elif case.needs in _ETHER:
        case_profile = Profile()
    else:
        pytest.skip("one app does both: this case ran with bitcoin")
    assert run_case(case, make_signer, profile=case_profile)


def test_the_kit_is_run_whole() -> None:
    assert {*BITCOIN_CASES, *ETHER_CASES} == set(CASES)
