"""``bursar device``: set a hardware wallet up and look after it."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, SignerNotFoundError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from bursar.backends.ledger.policies import FilePolicyStore
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.signing.protocols import DeviceAdmin, SignerInfo
    from bursar.signing.registrations import Registration

_WORDS = click.Choice(["12", "18", "24"])


@group(
    "device",
    examples=(
        "bursar devices                                     # what is there",
        'bursar device setup trezor:webusb:001:4 --label "Treasury 1"',
        "bursar device check trezor:webusb:001:4",
        "bursar device wipe trezor:webusb:001:4",
        'bursar device register board --name "Board 2 of 3"',
    ),
)
def device() -> None:
    """Set up, restore, label, back up, check and wipe a hardware wallet, and register accounts with it. Its keys never
    leave it.

    DEVICE is named as in 'bursar devices'; with one device attached it may be left out.
    """


def _device(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("selector", metavar="[DEVICE]", required=False)(function)


def _confirm_option(function: Callable[..., Any]) -> Callable[..., Any]:
    described = "The word that would be asked for on the terminal, for programs."
    return click.option("--confirm", metavar="WORD", help=described)(function)


def _making_keys(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--passphrase/--no-passphrase", default=False, help="Ask for a passphrase at every use, too."),
        click.option("--words", type=_WORDS, default="24", show_default=True, help="Words of the mnemonic."),
        click.option("--label", required=True, help="A name for the device, shown on its screen."),
    ):
        function = option(function)
    return function


@device.command("setup", examples=('bursar device setup --label "Treasury 1"',))
@_device
@_making_keys
@pass_session
def setup(session: Session, selector: str | None, label: str, words: str, passphrase: bool) -> None:
    """Make new keys on an empty DEVICE. It shows the words on its own screen: write them down.

    Part of the randomness comes from this computer; where the firmware allows it the device proves that it used it.
    """
    with _administered(session, selector) as admin:
        admin.set_up(label=label, words=int(words), passphrase=passphrase)
        _done(
            session, admin, "Set up. Try the backup before you trust it with money: 'bursar device restore' on a spare."
        )


@device.command("restore", examples=('bursar device restore --label "Treasury 1" --words 24',))
@_device
@_making_keys
@pass_session
def restore(session: Session, selector: str | None, label: str, words: str, passphrase: bool) -> None:
    """Put the keys of a mnemonic you hold on an empty DEVICE. The words are entered as the device says."""
    with _administered(session, selector) as admin:
        admin.restore(label=label, words=int(words), passphrase=passphrase)
        _done(session, admin, "Restored. Compare its first address with one you know.")


@device.command("wipe", examples=("bursar device wipe", "bursar device wipe trezor:webusb:001:4 --confirm wipe"))
@_device
@_confirm_option
@pass_session
def wipe(session: Session, selector: str | None, confirm: str | None) -> None:
    """Erase DEVICE: its keys, PIN and settings. Without a backup of the words the money is lost."""
    with _administered(session, selector) as admin:
        name = _name(admin.info)
        _confirmed(session, confirm, "wipe", f"This erases {name}. Without its words the money on it is lost.")
        admin.wipe()
        _done(session, admin, f"{name} is empty.")


@device.command("label", examples=('bursar device label --to "Treasury 1"',))
@_device
@click.option("--to", required=True, metavar="LABEL", help="The new name.")
@pass_session
def label(session: Session, selector: str | None, to: str) -> None:
    """Give DEVICE another name."""
    with _administered(session, selector) as admin:
        admin.set_label(to)
        _done(session, admin, f"It is called {to} now.")


@device.group("pin", examples=("bursar device pin set", "bursar device pin remove"))
def pin() -> None:
    """The PIN of a device."""


@pin.command("set", examples=("bursar device pin set",))
@_device
@pass_session
def pin_set(session: Session, selector: str | None) -> None:
    """Set or change the PIN of DEVICE."""
    with _administered(session, selector) as admin:
        admin.change_pin()
        _done(session, admin, "The PIN is set.")


@pin.command("remove", examples=("bursar device pin remove",))
@_device
@_confirm_option
@pass_session
def pin_remove(session: Session, selector: str | None, confirm: str | None) -> None:
    """Take the PIN off DEVICE: whoever holds it may use it then."""
    with _administered(session, selector) as admin:
        _confirmed(session, confirm, "remove", f"Without a PIN whoever holds {_name(admin.info)} may use it.")
        admin.remove_pin()
        _done(session, admin, "The PIN is off.")


@device.command("passphrase", examples=("bursar device passphrase on",))
@click.argument("state", type=click.Choice(["on", "off"]))
@_device
@pass_session
def passphrase(session: Session, selector: str | None, state: str) -> None:
    """Switch passphrases on or off. Each passphrase opens another wallet; no one is wrong.

    An account stays with the passphrase it was added with: Bursar notices another one by its fingerprint.
    """
    with _administered(session, selector) as admin:
        admin.set_passphrase(enabled=state == "on")
        _done(session, admin, f"Passphrases are {state}.")


@device.command("backup", examples=("bursar device backup",))
@_device
@pass_session
def backup(session: Session, selector: str | None) -> None:
    """Have DEVICE show the words of its keys on its screen, where it has not done so yet."""
    with _administered(session, selector) as admin:
        admin.back_up()
        _done(session, admin, "The device says that its words were written down.")


@device.command("check", examples=("bursar device check", "bursar device check --json | jq .proved"))
@_device
@pass_session
def check(session: Session, selector: str | None) -> None:
    """Have DEVICE prove that its vendor made it, where the model can."""
    with _administered(session, selector) as admin:
        found = admin.check_genuine()
        document = {"signer": _name(admin.info), "proved": found.proved, "text": found.text}
        colour = "green" if found.proved else "yellow"
        mark = click.style("genuine" if found.proved else "not proved", fg=colour)
        session.output.answer(document, lambda: click.echo(f"{mark}: {found.text}"))


@device.command(
    "register",
    examples=(
        "bursar device register board",
        'bursar device register board --name "Board 2 of 3" --signer ledger:hid:…',
    ),
)
@click.argument("account", shell_complete=account_names)
@click.option("--name", help="What the device calls it: 1 to 64 plain characters (default: the account's name).")
@signer_options
@pass_session
def register(session: Session, account: str, name: str | None, unlock: Unlock) -> None:
    """Have a Ledger check and remember ACCOUNT, so that it signs for it and shows its addresses.

    Compare the name, the policy and every cosigner's key on the device with what the cosigners have. Accounts of one
    key at the usual paths, and other devices, need no registration. What the device gives back is kept in this
    wallet's folder; afterwards the first addresses are compared.
    """
    from bursar.signing.policies import FIRST_INDEXES, policy_of, register_policy
    from bursar.wallet.accounts import AnyEthereum

    record = compose.wallet(session).account(account)
    held = record.account
    if isinstance(held, AnyEthereum):
        raise InvalidInputError(f"{account} is an ethereum account: there is nothing to register", code="input.account")
    policy = policy_of(held, name or record.name)
    session.output.aside(f"Compare on the device: {policy.name}, {policy.template}")
    for number, key in enumerate(policy.key_texts):
        session.output.aside(f"  @{number} {key}")
    with compose.signer(session, unlock, "ledger") as (selector, opened):
        made = register_policy(opened, held, policy.name)
    count = len(held.branches) * len(FIRST_INDEXES)

    def words() -> None:
        click.echo(f"{selector} knows {account} as {policy.name} ({made.identity.hex()[:8]}).")
        click.echo(f"Its first {count} addresses are those derived here; the first is {held.address(0, 0)}.")

    session.output.answer({"registration": _registration(made), "signer": selector, "compared": count}, words)


@device.command("registrations", examples=("bursar device registrations", "bursar device registrations --json"))
@pass_session
def registrations(session: Session) -> None:
    """List what is registered with Ledgers, retired registrations too."""
    found = _policies(session).all()

    def words() -> None:
        if not found:
            click.echo("Nothing is registered: bursar device register ACCOUNT")
            return
        rows = [
            (
                one.identity.hex()[:8],
                one.policy.name,
                str(one.fingerprint),
                "retired" if one.retired else "in use",
                one.policy.template,
            )
            for one in found
        ]
        session.output.table(("id", "name", "device", "state", "policy"), rows)

    session.output.answer({"registrations": [_registration(one) for one in found]}, words)


@device.command("retire", examples=("bursar device retire 1f0c33aa", "bursar device retire 1f0c33aa --confirm retire"))
@click.argument("identity", metavar="ID")
@_confirm_option
@pass_session
def retire(session: Session, identity: str, confirm: str | None) -> None:
    """Refuse the registration ID from now on.

    The device itself cannot forget one: whoever has a copy of its proof and the device could still use it.
    """
    policies = _policies(session)
    found = [one for one in policies.all() if identity and one.identity.hex().startswith(identity.lower())]
    if len(found) != 1:
        raise InvalidInputError(
            f"{len(found) or 'no'} registrations begin with {identity!r:.80}: see 'bursar device registrations'",
            code="input.policy",
        )
    (one,) = found
    _confirmed(session, confirm, "retire", f"Nothing is signed or shown for {one.policy.name} then.")
    policies.retire(one.identity)
    document = {"registration": {**_registration(one), "retired": True}}
    session.output.answer(
        document, lambda: click.echo(f"{one.policy.name} is retired: registering it anew revives it.")
    )


def _policies(session: Session) -> FilePolicyStore:
    from bursar.backends.ledger.policies import FilePolicyStore

    session.home.require()
    return FilePolicyStore(session.home.ledger_policies)


def _registration(one: Registration) -> dict[str, Any]:
    """What may be shown of a registration: without the proof."""
    return {
        "id": one.identity.hex(),
        "name": one.policy.name,
        "fingerprint": str(one.fingerprint),
        "retired": one.retired,
        "template": one.policy.template,
        "keys": list(one.policy.key_texts),
    }


@contextmanager
def _administered(session: Session, selector: str | None) -> Generator[DeviceAdmin, None, None]:
    from bursar.cli.prompts import Unlock
    from bursar.signing.protocols import AdministersDevices
    from bursar.signing.registry import selector_of, selectors_of

    known = compose.registry(session)
    if selector is None:
        found = [one for one in known.discover().signers if isinstance(known.backend(one.backend), AdministersDevices)]
        if not found:
            raise SignerNotFoundError("no device was found: plug it in, and see 'bursar devices'")
        if len(found) > 1:
            names = ", ".join(selectors_of(found))
            raise InvalidInputError(f"there are several devices: name one of {names}", code="input.signer")
        info = found[0]
    else:
        info = known.find(selector)
    backend = known.backend(info.backend)
    if not isinstance(backend, AdministersDevices):
        raise UnsupportedError(
            f"{selector_of(info)} is no device to be set up from here", operation="administer", model=info.model
        )
    with closing(backend.administer(info, Unlock().source(session, entry=info.location))) as admin:
        yield admin


def _confirmed(session: Session, given: str | None, word: str, warning: str) -> None:
    if given is None:
        session.human.tell(warning)
        given = session.human.ask(f'Type "{word}" to go on')
    if given.strip() != word:
        raise UserCancelledError(f'nothing was done: "{word}" was not what was typed')


def _name(info: SignerInfo) -> str:
    from bursar.signing.registry import selector_of

    return selector_of(info)


def _done(session: Session, admin: DeviceAdmin, text: str) -> None:
    session.output.answer({"signer": _name(admin.info), "done": True}, lambda: click.echo(text))
