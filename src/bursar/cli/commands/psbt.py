"""``bursar psbt``: signing by file (BIP-174)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.cosigning import needs_several, reachable
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the result goes."""
    for option in (
        click.option("--binary", is_flag=True, help="Write bytes instead of base64."),
        click.option(
            "-o",
            "--output",
            "to",
            type=click.Path(),
            metavar="FILE",
            help="Write to a new FILE instead of standard output.",
        ),
    ):
        function = option(function)
    return function


def psbt_path() -> click.Path:
    """A file's name, completed by the shell, or ``-``; ``psbt_file.read`` says what is wrong with it."""
    return click.Path(allow_dash=True)


def network_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which network the addresses are of."""
    described = "Bitcoin network (default: the one in config.toml, else main)."
    return click.option("--network", help=described)(function)


@group(
    "psbt",
    examples=(
        "bursar psbt inspect payment.psbt",
        "bursar psbt sign payment.psbt --account savings -o signed.psbt",
        "cat signed.psbt | bursar psbt finalize - | bursar psbt broadcast -",
    ),
)
def psbt() -> None:
    """Partially signed Bitcoin transactions (BIP-174), base64 or binary; '-' is standard input."""


@psbt.command("inspect", examples=("bursar psbt inspect payment.psbt", "bursar psbt inspect - --json < payment.psbt"))
@click.argument("file", type=psbt_path())
@network_option
@pass_session
def inspect(session: Session, file: str, network: str | None) -> None:
    """Show what FILE spends, pays and still lacks, and why a signer would refuse it."""
    from bursar.cli import psbt_file

    found = psbt_file.describe(psbt_file.read(file), _network(session, network))
    session.output.answer({"psbt": psbt_file.document(found)}, lambda: _inspected(session, found))


@psbt.command(
    "sign",
    examples=(
        "bursar psbt sign payment.psbt",
        "bursar psbt sign - --account vault --yes --password-fd 3 3<password.txt < payment.psbt > signed.psbt",
    ),
)
@click.argument("file", type=psbt_path())
@click.option("--account", shell_complete=account_names, help="Account that signs (default: the one the file names).")
@click.option("--external-inputs", is_flag=True, help="Let others pay with the account in this transaction.")
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@output_options
@signer_options
@pass_session
def sign(
    session: Session,
    file: str,
    account: str | None,
    external_inputs: bool,
    yes: bool,
    to: str | None,
    binary: bool,
    unlock: Unlock,
) -> None:
    """Review FILE, put it to the policy, and add the signatures of one account.

    Only signatures are added, each is checked, and outputs that claim to be change are computed anew. The policy
    counts what was sent from this wallet before; what is signed here it does not count later.
    """
    from bursar.cli import psbt_file
    from bursar.cli.psbt_review import review_of
    from bursar.policy.render import review_text
    from bursar.policy.verdict import require_allowed
    from bursar.signing.checks import request_signatures
    from bursar.signing.preflight import PreflightLimits
    from bursar.signing.protocols import PsbtSigner
    from bursar.wallet.accounts import AnyEthereum

    psbt_file.require_new(to)
    question = psbt_file.read(file)
    if all(one.is_final for one in question.inputs):
        raise InvalidInputError("every input of the psbt is final: nothing is left to sign", code="input.psbt")
    wallet = compose.wallet(session)
    record = wallet.account(account) if account else _account_of(wallet, question)
    held = record.account
    if isinstance(held, AnyEthereum):
        raise InvalidInputError(f"account {record.name!r} is an ethereum account", code="input.account")
    review = review_of(question, held, record.name, external=external_inputs)
    rules = compose.policy(session)
    past = wallet.policy_history()
    text = f"{review_text(review)}\n{rules.explain(review, past)}\n"
    (session.output.aside if yes else session.human.tell)(text)
    require_allowed(rules.decide(review, past))
    if not yes and session.human.ask("Sign it? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")
    usual = record.signer or None
    if unlock.signer is None and needs_several(record):
        usual = reachable(session, record.signers)
    with compose.signer(session, unlock, usual) as (selector, opened):
        if not isinstance(opened, PsbtSigner):
            raise UnsupportedError(f"{selector} does not sign psbts", operation="sign_psbt", model=opened.info.model)
        limits = PreflightLimits(external_inputs=external_inputs)
        signed = request_signatures(opened, question, account=held, limits=limits)
    psbt_file.write(session, signed, to=to, binary=binary, account=record.name, signer=selector)


@psbt.command("combine", examples=("bursar psbt combine alone.psbt together.psbt -o both.psbt",))
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=psbt_path())
@output_options
@pass_session
def combine(session: Session, files: Sequence[str], to: str | None, binary: bool) -> None:
    """Put the signatures of several copies of one PSBT together."""
    from bursar.bitcoin import finalize as finishing
    from bursar.cli import psbt_file

    psbt_file.write(session, finishing.combine([psbt_file.read(file) for file in files]), to=to, binary=binary)


@psbt.command("finalize", examples=("bursar psbt finalize signed.psbt -o final.psbt",))
@click.argument("file", type=psbt_path())
@output_options
@pass_session
def finalize(session: Session, file: str, to: str | None, binary: bool) -> None:
    """Check every signature of FILE and turn them into final scripts and witnesses."""
    from bursar.bitcoin import finalize as finishing
    from bursar.cli import psbt_file

    final = finishing.finalize(psbt_file.read(file))
    raw = finishing.extract(final).serialize().hex()
    psbt_file.write(session, final, to=to, binary=binary, raw=raw)


@psbt.command(
    "broadcast", examples=("bursar psbt broadcast final.psbt", "bursar psbt broadcast signed.psbt --network signet")
)
@click.argument("file", type=psbt_path())
@network_option
@pass_session
def broadcast(session: Session, file: str, network: str | None) -> None:
    """Hand the transaction in FILE to the node; signatures that are not final yet are finalized first."""
    from bursar.bitcoin import finalize as finishing
    from bursar.cli import psbt_file

    given = psbt_file.read(file)
    if not all(one.is_final for one in given.inputs):
        given = finishing.finalize(given)
    transaction = finishing.extract(given)
    node = compose.bitcoin_node(session, _network(session, network))
    node.check_network()
    txid = str(node.broadcast(transaction))
    session.output.answer({"txid": txid, "raw": transaction.serialize().hex()}, lambda: click.echo(txid))


def _network(session: Session, name: str | None) -> Network:
    from bursar.bitcoin.network import Network

    if name is not None:
        return Network.from_text(name)
    return compose.settings(session).network if session.home.config.is_file() else Network.MAIN


def _account_of(wallet: Wallet, question: Psbt) -> AccountRecord:
    """The one account whose keys the inputs name."""
    from bursar.signing.ownership import named_keys
    from bursar.wallet.accounts import AnyEthereum

    origins = [origin for one in question.inputs for _key, origin in named_keys(one)]
    found = [
        record
        for record in wallet.accounts()
        if not isinstance(record.account, AnyEthereum)
        and any(record.account.locate(origin) is not None for origin in origins)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidInputError(
            "the psbt names no key of an account here: name one with --account", code="input.account"
        )
    names = ", ".join(record.name for record in found)
    raise InvalidInputError(
        f"the psbt names keys of several accounts ({names}): choose one with --account", code="input.account"
    )


def _inspected(session: Session, found: dict[str, Any]) -> None:
    from bursar.bitcoin.units import Sats

    def btc(value: int | None) -> str:
        return "unknown" if value is None else Sats(value).to_btc_text()

    click.echo(f"Transaction {found['txid']}, on {found['network']}, locktime {found['locktime']}\n")
    spends = [
        (one["outpoint"], btc(one["amount"]), one["address"] or one["type"] or one.get("problem", ""), one["state"])
        for one in found["inputs"]
    ]
    session.output.table(("spends", "amount", "of", "state"), spends, numbers=("amount",))
    pays = [(one["address"] or one["type"], btc(one["amount"])) for one in found["outputs"]]
    session.output.table(("pays", "amount"), pays, numbers=("amount",))
    click.echo(f"\nFee {btc(found['fee'])}" if found["fee"] is None or found["fee"] >= 0 else "\nFee below zero")
    if found["problem"]:
        click.echo(f"A signer will refuse this: {found['problem']}")
