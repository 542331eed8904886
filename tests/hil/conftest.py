"""Both chains once per worker, a wallet per test, and the faces through which the scenarios run."""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from bursar_devices.device import Device
    from bursar_devices.manifest import DeviceSpec
    from hil_faces import Face

    from bursar.nodes.sandbox import Sandbox

PAUSE = 0.005
_numbers: defaultdict[object, Iterator[int]] = defaultdict(itertools.count)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Both chains, embedded."""
    pytest.importorskip("pbk", reason="the extra bursar[sandbox] is not installed")
    pytest.importorskip("eth", reason="the extra bursar[sandbox] is not installed")
    from bursar.nodes.sandbox import Sandbox

    with Sandbox(ethereum="py-evm") as started:
        started.mine(110)
        yield started


@pytest.fixture(autouse=True)
def brisk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator says at once what it has to say: the pause in which a device's stale replies may come is cut short.

    Not where cables are pulled out, for there are stale replies.
    """
    if "device_spec" not in request.fixturenames or "cable" in vars(request.module):
        return
    from bursar_devices.starting import is_simulator

    from bursar.backends.ledger import link
    from bursar.backends.ledger.transport import drained
    from bursar.backends.trezor import framing

    if not is_simulator(request.getfixturevalue("device_spec")):
        return
    monkeypatch.setattr(framing, "drain", lambda _wire: None)
    monkeypatch.setattr(link, "drained", lambda transport, *, seconds: drained(transport, seconds=min(seconds, PAUSE)))


@pytest.fixture
def number(request: pytest.FixtureRequest, device_spec: DeviceSpec) -> int:
    """An account number that no other test of this worker has for these keys; devices take those up to 100."""
    kind = request.node.callspec.params.get("kind")
    if kind not in ("p2pkh", "p2sh-p2wpkh", "p2tr"):
        kind = "ether" if any("ethereum" in mark.args for mark in request.node.iter_markers("needs")) else "p2wpkh"
    taken = next(_numbers[device_spec.family, kind])
    assert taken <= 100, "too many accounts of one kind: devices ask before they tell keys of higher ones"
    return taken


@pytest.fixture
def make_face(sandbox: Any, tmp_path: Path) -> Callable[..., Face]:
    """A function that makes the face called ``library``, ``command`` or ``hwi``, its keys on a device."""
    from bursar_devices.device import selector_of
    from hil_faces import CommandFace, HwiFace, LibraryFace, furnish

    kinds = {"library": LibraryFace, "command": CommandFace, "hwi": HwiFace}

    def make(kind: str, device: Device) -> Face:
        return kinds[kind](selector_of(device), sandbox, furnish(tmp_path / kind, sandbox))

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each scenario runs through each face it has: ``bursar-hwi`` is for Bitcoin alone."""
    if "face_kind" in metafunc.fixturenames:
        needs = {need for mark in metafunc.definition.iter_markers("needs") for need in mark.args}
        kinds = ["library", "command"] if "ethereum" in needs else ["library", "command", "hwi"]
        metafunc.parametrize("face_kind", kinds)


@pytest.fixture
def face(face_kind: str, bench_device: Device, make_face: Callable[..., Face]) -> Face:
    """A wallet whose keys are on the device, by each face in turn."""
    return make_face(face_kind, bench_device)
