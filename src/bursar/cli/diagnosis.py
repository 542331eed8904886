"""What ``doctor`` looks at: this installation, the wallet's folder, its nodes. Nothing here changes anything."""

from __future__ import annotations

import importlib.util
import platform
import stat
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from bursar.bitcoin.network import Network
from bursar.cli import compose, config, udev
from bursar.errors import BursarError
from bursar.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bursar.cli.session import Session

_T = TypeVar("_T")
State = Literal["ok", "note", "problem"]
_EXTRAS = {
    "ethereum": (("web3",), "Ethereum nodes"),
    "sandbox": (("pbk", "eth"), "the private chains and 'bursar demo'"),
    "keyring": (("keyring",), "passwords kept by the operating system"),
    "trezor": (("trezorlib",), "Trezor devices"),
    "ledger": (("ledger_bitcoin", "hid"), "Ledger devices"),
    "qr": (("segno", "zxingcpp", "PIL"), "QR codes of devices that are never connected"),
}
_INSTALL_UDEV = "sudo bursar devices install-udev"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; ``text`` says what to do where it is not in order."""

    subject: str
    state: State
    text: str


def examine(session: Session) -> Iterator[Finding]:
    """Everything, in an order in which later findings follow from earlier ones."""
    yield Finding("bursar", "ok", f"{__version__} on {platform.python_implementation()} {platform.python_version()}")
    yield _curve()
    yield from _extras()
    yield from _plugged_in()
    if not session.home.config.is_file():
        yield Finding("folder", "note", f"no wallet in {session.home.folder} yet: run 'bursar init'")
        return
    yield from _private(session.home.folder)
    settings, finding = _attempt("settings", lambda: config.read(session.home.config), str(session.home.config))
    yield finding
    yield _attempt("policy", lambda: compose.policy(session), str(session.home.policy))[1]
    yield from _signers(session)
    yield from _store(session)
    if settings is not None:
        yield from _nodes(session, settings)


def _curve() -> Finding:
    def known_answers() -> None:
        from bursar.crypto import secp256k1

        secp256k1.check_secret_key(bytes(31) + b"\x01")

    try:
        known_answers()
    except (BursarError, ImportError) as error:
        return Finding("curve", "problem", f"libsecp256k1 cannot be used: {error}; install bursar anew")
    return Finding("curve", "ok", "libsecp256k1 gives the known answers")


def _extras() -> Iterator[Finding]:
    for extra, (_, purpose) in _EXTRAS.items():
        if _missing(extra):
            yield Finding(extra, "note", f"not installed, needed for {purpose}: pip install 'bursar[{extra}]'")
        else:
            yield Finding(extra, "ok", f"installed, for {purpose}")


def _missing(extra: str) -> list[str]:
    return [module for module in _EXTRAS[extra][0] if importlib.util.find_spec(module) is None]


def _plugged_in() -> Iterator[Finding]:
    """The devices on this machine's USB that cannot be opened, with the rule that would let them be."""
    for device in udev.seen():
        needed = f"bursar[{device.extra}]"
        if not device.permitted:
            rule = udev.rule(*device.ids).replace("\n", "\n    ").rstrip()
            text = (
                f"{device.name} is plugged in at {device.place} and this system does not let you open it "
                f"({', '.join(device.closed)}): run '{_INSTALL_UDEV}' and plug it in again. The rule:\n    {rule}"
            )
            yield Finding("device", "problem", text)
        elif _missing(device.extra):
            yield Finding("device", "problem", f"{device.name} is plugged in: pip install '{needed}' to use it")
        else:
            yield Finding("device", "ok", f"{device.name} is plugged in at {device.place} and may be opened")


def _private(folder: Path) -> Iterator[Finding]:
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("folder", "problem", f"{folder} is open to others: chmod 700 {folder}")
    else:
        yield Finding("folder", "ok", f"{folder}, its owner's alone")


def _signers(session: Session) -> Iterator[Finding]:
    from bursar.signing.registry import selector_of

    known = compose.registry(session)
    wanting = {extra for extra in ("trezor", "ledger") if _missing(extra)}
    for name in known.names():
        if name in wanting:
            continue  # said already
        found = known.discover(only=name)
        for info in found.signers:
            state: State = "problem" if info.trouble and info.fingerprint is None else "ok"
            yield Finding("signer", state, f"{selector_of(info)}: {info.trouble or 'ready'}")
        for one in found.broken:
            yield Finding("signer", "problem", f"{one.name}: {one.reason}")


def _store(session: Session) -> Iterator[Finding]:
    wallet, finding = _attempt("wallet", lambda: compose.wallet(session), str(session.home.wallet))
    yield finding
    if wallet is not None:
        yield _attempt("journal", lambda: f"{wallet.journal.verify().sequence} records, unbroken")[1]


def _nodes(session: Session, settings: config.Config) -> Iterator[Finding]:
    running = compose.sandbox(session)
    networks = list(settings.bitcoin)
    chains = list(settings.ethereum)
    known, finding = _attempt("chains", lambda: compose.chains(session))
    if known is None:
        yield finding
    else:
        chains += [one.id for one in known.by_id.values() if one.providers and one.id not in chains]
    if running is not None:
        networks += [] if Network.REGTEST in networks else [Network.REGTEST]
        chain_id = running.ethereum_chain_id
        chains += [chain_id] if chain_id is not None and chain_id not in chains else []
    if not networks and not chains:
        yield Finding("nodes", "note", "none is set: see config.toml, or run 'bursar sandbox up'")
    for network in networks:
        tip, finding = _attempt(f"bitcoin {network}", partial(_bitcoin_tip, session, network))
        yield finding if tip is None else replace(finding, text=f"its node is at block {tip}")
    for chain in chains:
        tip, finding = _attempt(f"ethereum {chain}", partial(_ethereum_tip, session, chain))
        yield finding if tip is None else replace(finding, text=f"{_asked(session, chain)} at block {tip}")


def _asked(session: Session, chain_id: int) -> str:
    from bursar.cli.ethereum_sources import providers_of, quorum_of

    node = providers_of(compose.settings(session), compose.chains(session), chain_id)
    if node is None or len(node.providers) == 1:
        return "its node is"
    return f"{quorum_of(node)} of its {len(node.providers)} providers are"


def _bitcoin_tip(session: Session, network: Network) -> int:
    return compose.bitcoin_node(session, network).check_network().height


def _ethereum_tip(session: Session, chain_id: int) -> int:
    return compose.ethereum_node(session, chain_id).check_chain().height


def _attempt(subject: str, look: Callable[[], _T], text: str | None = None) -> tuple[_T | None, Finding]:
    """What ``look`` gives, and the finding: its text, or the error's."""
    try:
        found = look()
    except BursarError as error:
        return None, Finding(subject, "problem", error.message)
    return found, Finding(subject, "ok", text if text is not None else str(found))
