"""The conformance kit on every device: each demand of the signer contract, over the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from bursar_devices.device import selector_of
from bursar_devices.humans import approve
from bursar_devices.prompting import BenchPrompt

from bursar.signing.conformance import CASES, Case, Profile, run_case
from bursar.signing.protocols import AddressDisplay, MessageSigner, PsbtSigner, Signer
from bursar.signing.registry import Registry

if TYPE_CHECKING:
    from bursar_devices.manifest import DeviceSpec

_BITCOIN = (Signer, PsbtSigner, MessageSigner, AddressDisplay)
BITCOIN_CASES = [case for case in CASES if case.needs in _BITCOIN]
ETHER_CASES = [case for case in CASES if case.needs not in (PsbtSigner, MessageSigner)]


@pytest.fixture
def make_signer(make_device: Callable[..., Any]) -> Callable[[], Signer]:
    """A function that opens the one device of this test, with a human who accepts everything."""
    device = make_device()
    device.human = approve()

    def make() -> Signer:
        return Registry.installed().open(selector_of(device), BenchPrompt())

    return make


@pytest.fixture
def profile(device_spec: DeviceSpec) -> Profile:
    """What the manifest says the device can do, in the kit's words."""
    has = device_spec.capabilities
    types = (0, 1, 2) if "access-lists" in has else (0, 2)
    return Profile(
        transaction_types=types,
        foreign_inputs="foreign-inputs" in has,
        taproot_all="taproot-all" in has,
        nested_arrays="nested-arrays" in has,
    )


@pytest.mark.parametrize("case", BITCOIN_CASES, ids=lambda case: case.name)
@pytest.mark.needs("bitcoin", "p2pkh", "p2sh-p2wpkh", "p2wpkh", "taproot")
def test_with_bitcoin(case: Case, make_signer: Callable[[], Signer], profile: Profile) -> None:
    assert run_case(case, make_signer, profile=profile)


@pytest.mark.parametrize("case", ETHER_CASES, ids=lambda case: case.name)
@pytest.mark.needs("ethereum", "erc20")
def test_with_ethereum(
    case: Case, device_spec: DeviceSpec, make_signer: Callable[[], Signer], profile: Profile
) -> None:
    if "apps" in device_spec.capabilities:
        profile = replace(profile, schemes=())
    elif case.needs in _BITCOIN:
        pytest.skip("one app does both: this case ran with bitcoin")
    if not run_case(case, make_signer, profile=profile):
        pytest.skip(f"{device_spec.name} is no {case.needs.__name__}")


def test_the_kit_is_run_whole() -> None:
    assert {*BITCOIN_CASES, *ETHER_CASES} == set(CASES)
