"""The pytest plugin: ``--device``, a running device and a signer on it as fixtures, capabilities as marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

# Plugins are loaded before coverage begins to measure: bursar itself is imported by the fixtures, when they run.
if TYPE_CHECKING:
    from bursar.signing.protocols import Signer
    from bursar_devices.device import Device, Human, Page
    from bursar_devices.manifest import DeviceSpec
    from bursar_devices.prompting import BenchPrompt

DEFAULT = "trezor-simulator,ledger-simulator"
_SPECS = pytest.StashKey["tuple[DeviceSpec, ...]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the bench."""
    group = parser.getgroup("bursar devices", "signing devices on the bench")
    group.addoption(
        "--device",
        default=DEFAULT,
        metavar="NAMES",
        help=f"devices of the manifest to test on, by commas, or 'simulators' (default: {DEFAULT})",
    )
    group.addoption(
        "--bench-manifest", action="append", default=[], metavar="FILE", help="a manifest with more devices (TOML)"
    )
    group.addoption(
        "--update-golden", action="store_true", help="write the screens shown to the golden files instead of comparing"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, where marks are strict."""
    config.addinivalue_line(
        "markers", "needs(capability, ...): run only on devices that have these capabilities (see their manifest)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a device runs once on each that ``--device`` names."""
    if "device_spec" in metafunc.fixturenames:
        specs = _chosen(metafunc.config)
        metafunc.parametrize("device_spec", specs, ids=[spec.name for spec in specs], indirect=True)


def _chosen(config: pytest.Config) -> tuple[DeviceSpec, ...]:
    if _SPECS in config.stash:
        return config.stash[_SPECS]
    from bursar_devices.manifest import ManifestError, load
    from bursar_devices.starting import is_simulator

    try:
        known = load([Path(name) for name in config.getoption("--bench-manifest")])
    except ManifestError as error:
        raise pytest.UsageError(str(error)) from error
    names: list[str] = []
    for word in str(config.getoption("--device")).split(","):
        names += [name for name, spec in known.items() if is_simulator(spec)] if word == "simulators" else [word]
    for name in names:
        if name not in known:
            raise pytest.UsageError(f"--device: there is no {name!r}; the manifest has {', '.join(known)}")
    config.stash[_SPECS] = tuple(known[name] for name in dict.fromkeys(names))
    return config.stash[_SPECS]


@pytest.fixture
def device_spec(request: pytest.FixtureRequest) -> DeviceSpec:
    """The manifest's description of the device this run of the test is on."""
    return cast("DeviceSpec", request.param)


@pytest.fixture
def make_device(request: pytest.FixtureRequest, device_spec: DeviceSpec) -> Iterator[Callable[..., Device]]:
    """A function that starts the device with options of its own, as often as wanted; all are stopped at the end.

    The test's ``needs`` marks choose the options the manifest has for them; a device that lacks one skips the test.
    """
    from bursar_devices.starting import DeviceAbsentError, Running, make

    needs = {str(need) for mark in request.node.iter_markers("needs") for need in mark.args}
    with ExitStack() as stack:

        def start(**options: Any) -> Device:
            try:
                return stack.enter_context(Running(make(device_spec, needs=needs, **options)))
            except DeviceAbsentError as error:
                pytest.skip(str(error))

        yield start


@pytest.fixture
def bench_device(make_device: Callable[..., Device]) -> Device:
    """The device, running, fresh for this test, with nobody in front of it (see ``attend``)."""
    return make_device()


@pytest.fixture
def attend(bench_device: Device) -> Callable[[Human], AbstractContextManager[list[Page]]]:
    """``with attend(approve()) as pages:`` puts a human in front of the device; the pages are those shown meanwhile."""
    from bursar_devices.attending import attended

    return lambda human: attended(bench_device, human)


@pytest.fixture
def prompt() -> BenchPrompt:
    """The human at the computer: give it answers, and see what it was asked and told."""
    from bursar_devices.prompting import BenchPrompt

    return BenchPrompt()


@pytest.fixture
def signer(bench_device: Device, prompt: BenchPrompt) -> Iterator[Signer]:
    """The device, opened by the installed backend of its family, found by its location as a user would name it."""
    from bursar.signing.registry import Registry
    from bursar_devices.device import selector_of

    with closing(Registry.installed().open(selector_of(bench_device), prompt)) as opened:
        yield opened


@pytest.fixture
def golden(request: pytest.FixtureRequest, device_spec: DeviceSpec) -> Callable[[Sequence[Page]], None]:
    """``golden(pages)`` holds the screens to ``golden/<family>-<model>/<test>.txt`` beside the test's file.

    Simulator and vendor's firmware of one model share the file: the one is held to the other.
    """
    from bursar_devices.golden import compare

    called = re.sub(r"[^\w]+", "-", request.node.name.replace(device_spec.name, "")).strip("-")
    folder = request.path.parent / "golden" / f"{device_spec.family}-{device_spec.model}"
    update = bool(request.config.getoption("--update-golden"))
    return lambda pages: compare(folder / f"{called}.txt", pages, update=update)
