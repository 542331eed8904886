"""Simulated Trezors, approving humans in front of them, and hosts for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bursar_devices import humans
from bursar_devices.trezor import TrezorSimulator

if TYPE_CHECKING:
    from trezor_host import Spending, Wire


@pytest.fixture
def trezor() -> Iterator[Callable[..., TrezorSimulator]]:
    """Starts simulators; each approves everything unless told otherwise."""
    with ExitStack() as stack:

        def start(model: str = "T1B1", **options: Any) -> TrezorSimulator:
            options.setdefault("human", humans.approve())
            return stack.enter_context(TrezorSimulator(model=model, **options))

        yield start


@pytest.fixture
def wire() -> Iterator[Callable[[TrezorSimulator], Wire]]:
    """Bare messages, as a host without the vendor's client would send them."""
    with ExitStack() as stack:
        from trezor_host import Wire

        def connect(simulator: TrezorSimulator) -> Wire:
            line = Wire(simulator)
            stack.callback(line.close)
            return line

        yield connect


@pytest.fixture
def spending() -> Callable[[Any], Spending]:
    """A job of spending, for a session."""
    from trezor_host import Spending

    return Spending
