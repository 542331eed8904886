"""Backends found by entry point, loaded late, broken ones reported; signers found by name or fingerprint."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bursar.backends.software import SoftwareBackend, SoftwareSigner
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, SignerError, SignerNotFoundError, SignerUnavailableError
from bursar.keys.origin import Fingerprint
from bursar.signing import registry
from bursar.signing.protocols import DeviceEvent, Prompt, SecretRequest, Signer, SignerInfo
from bursar.signing.registry import Registry, selector_of


class Shelf:
    """A backend of ready-made infos."""

    def __init__(self, name: str, *infos: SignerInfo, error: Exception | None = None) -> None:
        self.name = name
        self.infos = infos
        self.error = error
        self.looked: list[bool] = []

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:
        self.looked.append(emulators)
        if self.error:
            raise self.error
        return self.infos

    def open(self, info: SignerInfo, prompt: Prompt) -> Signer:
        raise NotImplementedError(info.location)


def info(backend: str, label: str, fingerprint: bytes = b"\0\0\0\1", trouble: str | None = None) -> SignerInfo:
    return SignerInfo(
        backend, f"/place/{label}", "model", label=label, fingerprint=Fingerprint(fingerprint), trouble=trouble
    )


A, B = info("shelf", "a"), info("shelf", "b", b"\0\0\0\2", "locked")


def test_a_signer_by_label_location_or_fingerprint() -> None:
    known = Registry([Shelf("shelf", A, B)])
    for selector in ("shelf:a", "shelf:/place/a", "00000001"):
        assert known.find(selector) == A
    assert known.find("shelf:b").trouble == "locked"
    assert selector_of(A) == "shelf:a"


def test_ambiguity_lists_the_candidates() -> None:
    known = Registry([Shelf("shelf", A), Shelf("other", info("other", "c"))])
    with pytest.raises(InvalidInputError, match="shelf:a") as caught:
        known.find("00000001")
    assert "other:c" in caught.value.message
    assert caught.value.code == "input.signer.ambiguous"


def test_none_found_says_what_there_is() -> None:
    known = Registry([Shelf("shelf", A, B)])
    with pytest.raises(SignerNotFoundError, match="there are shelf:a, shelf:b"):
        known.find("shelf:c")
    with pytest.raises(SignerNotFoundError, match="none was found"):
        Registry([Shelf("shelf")]).find("ffffffff")
    with pytest.raises(SignerNotFoundError, match="no signer backend is called 'ledger': there are shelf"):
        known.find("ledger:a")


@pytest.mark.parametrize(
    "selector", ["", "a", ":", "shelf:", "0000000", "000000011", "gggggggg", "Shelf:a", "sh elf:a"]
)
def test_selectors_that_name_nothing(selector: str) -> None:
    with pytest.raises(InvalidInputError, match="names no signer"):
        Registry([Shelf("shelf", A)]).find(selector)


def test_a_zero_or_missing_fingerprint_never_matches() -> None:
    nameless = SignerInfo("shelf", "usb:1", "model")
    with pytest.raises(SignerNotFoundError):
        Registry([Shelf("shelf", nameless)]).find("00000000")
    assert Registry([Shelf("shelf", nameless)]).find("shelf:usb:1") == nameless


@pytest.mark.parametrize(
    "error", [SignerUnavailableError("busy: wait"), OSError("no usb"), RuntimeError("boom"), KeyError("x")]
)
def test_a_backend_that_cannot_look_does_not_hide_the_others(error: Exception) -> None:
    known = Registry([Shelf("bad", error=error), Shelf("shelf", A)])
    found = known.discover(emulators=True)
    assert found.signers == (A,)
    assert [one.name for one in found.broken] == ["bad"]
    with pytest.raises(SignerNotFoundError, match=r"not asked: bad \("):
        known.find("ffffffff")


def test_only_the_named_backend_is_asked() -> None:
    shelf, other = Shelf("shelf", A), Shelf("other")
    Registry([shelf, other]).find("shelf:a", emulators=True)
    assert (shelf.looked, other.looked) == ([True], [])


def test_our_own_backend_comes_through_the_same_door() -> None:
    assert registry.backends()["software"] == "bursar.backends.software:SoftwareBackend"
    assert isinstance(registry.backend("software"), SoftwareBackend)


PLUGIN = """
class Good:
    name = "good"
    def discover(self, *, emulators=False):
        return ()
    def open(self, info, prompt):
        raise NotImplementedError
class Crashing:
    def __init__(self):
        raise ValueError("no licence file")
class Misnamed:
    name = "another"
    def discover(self, *, emulators=False):
        return ()
    def open(self, info, prompt):
        raise NotImplementedError
NotAClass = 5
"""
POINTS = """
[bursar.signer_backends]
good = shelf_plugin:Good
crashing = shelf_plugin:Crashing
misnamed = shelf_plugin:Misnamed
absent = shelf_plugin:Absent
uninstalled = no_such_module_at_all:Backend
number = shelf_plugin:NotAClass
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "shelf_plugin.py").write_text(PLUGIN)
    described = tmp_path / "shelf_plugin-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-plugin\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("shelf_plugin", None)


def test_plugins_are_loaded_when_first_used(plugins: Path) -> None:
    known = Registry.installed()
    assert {"good", "crashing", "software"} <= set(known.names())
    assert "shelf_plugin" not in sys.modules
    assert known.backend("good").name == "good"
    assert "shelf_plugin" in sys.modules


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crashing", "ValueError: no licence file"),
        ("misnamed", "is no such backend"),
        ("absent", "AttributeError"),
        ("uninstalled", "ModuleNotFoundError"),
        ("number", "TypeError"),
    ],
)
def test_a_broken_plugin_is_reported_and_not_fatal(plugins: Path, name: str, reason: str) -> None:
    known = Registry.installed([Shelf("software", info("software", "main"))])
    for _ in range(2):
        with pytest.raises(SignerError, match=reason):
            known.backend(name)
    found = known.discover()
    assert [one.label for one in found.signers] == ["main"]
    assert {one.name for one in found.broken} == {"crashing", "misnamed", "absent", "uninstalled", "number"}
    assert reason in next(one.reason for one in found.broken if one.name == name)
    assert known.find("software:main").label == "main"


class Keyboard:
    """A human who types one password."""

    def __init__(self, password: bytes) -> None:
        self.password = password
        self.asked: list[SecretRequest] = []

    def ask(self, request: SecretRequest) -> Secret:
        self.asked.append(request)
        return Secret(self.password)

    def notify(self, event: DeviceEvent) -> None:
        raise AssertionError(event)


def test_find_and_open_a_keystore_through_the_registry(tmp_path: Path) -> None:
    from bursar.backends.software import keystore
    from bursar.crypto.kdf import Scrypt
    from bursar.keys.mnemonic import Mnemonic

    keystore.create(tmp_path / "main.json", Mnemonic(bytes(16)), Secret(b"pw"), kdf=Scrypt(log_n=14))
    known = Registry([SoftwareBackend(tmp_path)])
    human = Keyboard(b"pw")
    with known.open("software:main", human) as signer:  # type: ignore[attr-defined]
        assert isinstance(signer, SoftwareSigner)
        assert known.find(str(signer.info.fingerprint)).label == "main"
    assert [request.kind for request in human.asked] == ["password"]
