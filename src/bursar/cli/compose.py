"""The composition root: wallet, policy, nodes and signers, made from the settings and handed to one another."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.bitcoin.network import Network
from bursar.cli import config
from bursar.errors import InvalidInputError, SignerNotFoundError, UnsupportedError, WrongPasswordError
from bursar.keys.origin import UNKNOWN, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Generator

    from bursar.chain.ethereum_chains import EthereumChains
    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.cli.name_lookup import ConfiguredNames
    from bursar.cli.prompts import PassphraseChoice, SecretSource, Unlock
    from bursar.cli.session import Session
    from bursar.nodes.sandbox import SandboxState
    from bursar.policy.policy import RulePolicy
    from bursar.signing.protocols import Signer, SignerBackend, SignerInfo
    from bursar.signing.registry import Registry
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet

SANDBOX_CHAIN_ID = 31337
_PASSWORD_ATTEMPTS = 3


def settings(session: Session) -> config.Config:
    """``config.toml``, read once for each command."""
    session.home.require()
    return config.read(session.home.config)


def wallet(session: Session) -> Wallet:
    """The open wallet; closed when the command ends."""
    from bursar.wallet.wallet import Wallet

    found = settings(session)
    estimators = {}
    if any(node.fees for node in found.bitcoin.values()):
        from bursar.cli.chain_sources import fee_estimators

        estimators = fee_estimators(found.bitcoin, session.home)
    opened = Wallet.open(session.home.wallet, fee_estimators=estimators, chains=chains(session), names=names(session))
    return click.get_current_context().with_resource(opened)


def policy(session: Session) -> RulePolicy:
    """The rules of ``policy.toml``; without the file nothing is allowed, so its absence is an error."""
    from bursar.policy.policy import RulePolicy

    session.home.require()
    path = session.home.policy
    if not path.is_file():
        raise InvalidInputError(
            f"{path} is missing, and without a policy nothing may be paid: put yours back, or take the one that "
            "'bursar init' writes into a new folder",
            code="input.policy",
        )
    return RulePolicy.from_toml(path.read_text(encoding="utf-8"))


def node_for(session: Session, record: AccountRecord) -> BitcoinBackend | EthereumBackend:
    """The node of the account's chain; closed when the command ends."""
    from bursar.wallet.accounts import AnyEthereum

    account = record.account
    if isinstance(account, AnyEthereum):
        return ethereum_node(session, account.chain_id)
    return bitcoin_node(session, account.network)


def bitcoin_node(session: Session, network: Network) -> BitcoinBackend:
    """The node of ``[bitcoin.<network>]``, or the running sandbox's."""
    from bursar.cli.chain_sources import chain_source

    node = settings(session).bitcoin.get(network)
    if node is None:
        running = sandbox(session) if network is Network.REGTEST else None
        if running is None:
            raise _no_node("bitcoin", network.name, network is Network.REGTEST)
        node = config.BitcoinNode(running.bitcoin_url, Path(running.bitcoin_cookie))
    return click.get_current_context().with_resource(closing(chain_source(node, network, session.home)))


def ethereum_node(session: Session, chain_id: int) -> EthereumBackend:
    """The providers of ``[ethereum.<chain id>]`` or of the chain's file as one source, or the running sandbox's."""
    from bursar.cli.ethereum_sources import ethereum_source, providers_of

    node = providers_of(settings(session), chains(session), chain_id)
    if node is None:
        running = sandbox(session)
        if running is None or running.ethereum_url is None or running.ethereum_chain_id != chain_id:
            raise _no_ethereum_node(session, chain_id)
        node = config.EthereumNode((config.EthereumProvider("sandbox", running.ethereum_url),))
    return click.get_current_context().with_resource(closing(ethereum_source(session, chain_id, node)))


def names(session: Session) -> ConfiguredNames:
    """What looks up names of payees."""
    from bursar.cli.name_lookup import ConfiguredNames

    return ConfiguredNames(lambda chain_id: ethereum_node(session, chain_id))


def chains(session: Session) -> EthereumChains:
    """The Ethereum chains built in, and those of the files in the wallet's folder."""
    from bursar.chain.ethereum_chains import EthereumChains

    return EthereumChains.with_files(session.home.chains)


def coin(session: Session, record: AccountRecord) -> str:
    """What the coin of the account's chain is called: BTC, ETH, POL."""
    from bursar.wallet.accounts import native_asset

    return native_asset(record.account, chains(session)).symbol


def chain_id_of(session: Session, which: str | None) -> int:
    """The id of a chain given by number or short name; that of new accounts where none is given."""
    if which is None:
        return settings(session).chain_id
    if which.isascii() and which.isdigit() and len(which) < 80:
        from bursar.ethereum.chain_id import check_chain_id

        return check_chain_id(int(which))
    return chains(session).chain(which).id


def synchronise(session: Session, wallet: Wallet, record: AccountRecord) -> BitcoinBackend | EthereumBackend:
    """Bring one account up to date with its node, which is returned for what comes next.

    What an interrupted run left behind is finished or released first.
    """
    from bursar.cli.recovery import recover

    backend = node_for(session, record)
    recover(session, wallet, backend)
    with session.output.progress(f"asking the node about {record.name}") as more:
        report = wallet.sync(
            record.name,
            backend,
            progress=lambda stage, done, total: more(f"{stage} {done}" + (f" of {total}" if total else "")),
        )
    if not report.history_complete:
        session.output.aside(
            f"{record.name}: the node cannot show spent history; give it blockfilterindex=1 to restore."
        )
    for alarm in report.alarms:
        session.output.aside(f"{record.name}: {alarm}.")
    if report.unexplained and record.tip is not None:
        session.output.aside(
            f"{record.name}: balances differ by {report.unexplained} amounts that no transaction explains: see history."
        )
    return backend


def registry(session: Session, passphrase: PassphraseChoice | None = None) -> Registry:
    """Every installed signer backend; those that keep files look into this wallet's folder."""
    from bursar.backends.airgap import AirgapBackend
    from bursar.backends.remote import RemoteBackend
    from bursar.backends.software import SoftwareBackend
    from bursar.cli.device_backends import device_backends
    from bursar.signing.registry import Registry

    home = session.home
    mine: list[SignerBackend] = [
        SoftwareBackend(home.keystores),
        AirgapBackend(home.airgap),
        RemoteBackend(home.remote),
    ]
    return Registry.installed([*mine, *device_backends(home, passphrase)])


@contextmanager
def signer(session: Session, unlock: Unlock, usual: str | None = None) -> Generator[tuple[str, Any], None, None]:
    """The open signer that was named, or the ``usual`` one, or the only one there is; with its name."""
    from bursar.signing.registry import selector_of

    known = registry(session, unlock.passphrase)
    info = _named(known, unlock.signer, usual)
    opened = _open(known, info, unlock.source(session, entry=info.location))
    with closing(opened):
        yield selector_of(info), opened


def _named(known: Registry, named: str | None, usual: str | None) -> SignerInfo:
    """The signer named; else the one with the ``usual`` fingerprint, which a device may tell only once it is open."""
    if named is not None:
        return _expecting(known.find(named), usual)
    if usual is None:
        return _only(known)
    if usual in known.names():
        return _only(known, usual)
    try:
        return known.find(usual)
    except SignerNotFoundError:
        silent = [one for one in known.discover().signers if one.fingerprint is None and one.trouble is None]
        if len(silent) != 1:
            raise
        return _expecting(silent[0], usual)


def _expecting(info: SignerInfo, usual: str | None) -> SignerInfo:
    """The same with the fingerprint it must have, so that opening another device or passphrase is refused."""
    if info.fingerprint is not None or usual is None:
        return info
    try:
        expected = Fingerprint.from_text(usual)
    except InvalidInputError:
        return info  # an account added by a program, under a name of its own
    return info if expected == UNKNOWN else replace(info, fingerprint=expected)


def fingerprint_of(signer: Signer) -> Fingerprint:
    """Of its master key, as it says or shows; ``UNKNOWN`` where it does neither."""
    from bursar.keys.path import DerivationPath

    if signer.info.fingerprint is not None:
        return signer.info.fingerprint
    try:
        return signer.xpub(DerivationPath(())).fingerprint
    except (InvalidInputError, UnsupportedError):
        return UNKNOWN


def _only(known: Registry, backend: str | None = None) -> SignerInfo:
    """The one signer there is, of one backend where that is named."""
    from bursar.signing.registry import selectors_of

    found = known.discover(only=backend).signers
    if not found:
        raise SignerNotFoundError("no signer was found: run 'bursar init', or plug a device in")
    if len(found) > 1:
        names = ", ".join(selectors_of(found))
        raise InvalidInputError(f"there are several signers: name one with --signer ({names})", code="input.signer")
    return found[0]


def _open(known: Registry, info: SignerInfo, source: SecretSource) -> Signer:
    """A mistyped password may be typed again; one from a file descriptor or the keyring may not."""
    backend = known.backend(info.backend)
    for _attempt in range(_PASSWORD_ATTEMPTS - 1):
        try:
            return backend.open(info, source)
        except WrongPasswordError as error:
            if not source.interactive:
                raise
            source.human.tell(f"{error.message}; once more.")
    return backend.open(info, source)


def sandbox(session: Session) -> SandboxState | None:
    """The sandbox that runs in this wallet's folder."""
    from bursar.nodes.sandbox import running

    return running(session.home.sandbox)


def _no_node(chain: str, name: str, by_sandbox: bool) -> InvalidInputError:
    first = "run 'bursar sandbox up', or " if by_sandbox else ""
    return InvalidInputError(
        f"no node is set for {chain} {name}: {first}add a table [{chain}.{name}] with its url to config.toml",
        code="input.config",
    )


def _no_ethereum_node(session: Session, chain_id: int) -> InvalidInputError:
    known = chains(session).by_id.get(chain_id)
    if known is None or chain_id == SANDBOX_CHAIN_ID:
        return _no_node("ethereum", str(chain_id), chain_id == SANDBOX_CHAIN_ID)
    return InvalidInputError(
        f"no node is set for {known.name}: name one with 'bursar chain add {known.short_name} --provider URL', or in a "
        f"table [ethereum.{chain_id}] of config.toml",
        code="input.config",
    )
