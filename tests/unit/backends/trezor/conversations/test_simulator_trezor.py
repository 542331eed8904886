"""The conversations over the wire to a simulated Trezor, old and new, put through the conformance kit."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.backends.trezor import TrezorBackend
from bursar.signing.conformance import CASES, Profile, assert_signer

# as in the conformance of the conversations alone: no Trezor does these
CANNOT = frozenset({"other-peoples-inputs-stay", "a-named-hash-type-is-used", "every-transaction-type-signs"})


class Nobody:
    """A human who is told things and asked nothing."""

    def ask(self, request: Any) -> Any:
        raise AssertionError(request)

    def notify(self, event: Any) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
def test_the_kit_is_met_over_the_wire(model: str) -> None:
    bench = pytest.importorskip("bursar_devices.trezor", reason="bursar-devices is not installed")
    humans = pytest.importorskip("bursar_devices.humans")
    backend = TrezorBackend()
    opened: list[Any] = []

    with bench.TrezorSimulator(model=model, human=humans.approve()) as device:

        def make() -> Any:
            for one in opened:
                one.close()
            found = backend.locate(device.location)
            assert found is not None
            opened[:] = [backend.open(found, Nobody())]
            return opened[0]

        try:
            report = assert_signer(make, profile=Profile(tolerated=CANNOT, nested_arrays=model == "T1B1"))
        finally:
            for one in opened:
                one.close()
    assert len(report.met) == len(CASES) - len(CANNOT)
