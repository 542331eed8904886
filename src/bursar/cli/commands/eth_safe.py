"""``bursar eth safe``: Safes looked at, their transactions proposed, shown, signed by owners and executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.clear_words import names_option
from bursar.cli.commands.eth_safe_owners import confirmations, execute, sign, verify
from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.safe_chain import SafeOnChain
    from bursar.cli.session import Session
    from bursar.ethereum.safe import MultiSendCall, Proposal


@group(
    "safe",
    examples=(
        "bursar eth safe info 0x…",
        "bursar eth safe propose 0x… pay.json 0x… 1.5eth",
        "bursar eth safe sign pay.json --account board",
        "bursar eth safe confirmations pay.json from-the-cfo.json",
        "bursar eth safe execute pay.json --account gas",
    ),
)
def safe() -> None:
    """Safes: contracts that do what enough of their owners signed.

    A proposal is a file that goes from owner to owner; each signs its own copy or the same one, in any order, days
    apart if need be.
    """


@safe.command("info", examples=("bursar eth safe info 0x…", "bursar eth safe info 0x… --chain base --json"))
@click.argument("address")
@click.option("--chain", "which", metavar="CHAIN", help="Name or id of its chain (default: that of new accounts).")
@click.option("--any-chain", is_flag=True, help="Accept a Safe before 1.3.0, whose signatures count on every chain.")
@pass_session
def info(session: Session, address: str, which: str | None, any_chain: bool) -> None:
    """Show who owns the Safe at ADDRESS and what else rules it, as the chain has it now."""
    from bursar.cli.ethereum_accounts import coin_symbol
    from bursar.cli.safe_chain import look_up
    from bursar.ethereum.address import Address
    from bursar.ethereum.units import format_units

    place = Address.from_text(address)
    found = look_up(session, compose.chain_id_of(session, which), place, any_chain=any_chain)
    state, settings = found.state, found.settings
    balance = found.backend.balance(place)
    owners = [str(one) for one in sorted(state.owners, key=lambda one: one.value)]
    modules = None if settings.modules is None else [str(one) for one in settings.modules]
    cautions = settings.cautions()
    document = {
        "safe": str(place),
        "chain_id": found.safe.chain_id,
        "version": str(state.version),
        "owners": owners,
        "threshold": state.threshold,
        "nonce": state.nonce,
        "balance": str(int(balance)),
        "domain_hash": f"0x{state.domain_separator.hex()}",
        "singleton": _shown(settings.singleton),
        "modules": modules,
        "guard": _shown(settings.guard),
        "module_guard": _shown(settings.module_guard),
        "fallback_handler": _shown(settings.fallback_handler),
        "warnings": [{"code": one.code, "text": one.text} for one in cautions],
    }

    def words() -> None:
        rows = [
            ("Safe", f"{place}, version {state.version}, chain {found.safe.chain_id}"),
            ("Holds", format_units(balance, decimals=18, symbol=coin_symbol(session, found.safe.chain_id))),
            ("Needs", f"{state.threshold} of {len(owners)} owners"),
            *[("Owner", one) for one in owners],
            ("Nonce", str(state.nonce)),
            ("Domain hash", f"0x{state.domain_separator.hex()}"),
            ("Code of", _shown(settings.singleton) or "unknown"),
            ("Modules", "unknown" if modules is None else ", ".join(modules) or "none"),
            ("Guard", _shown(settings.guard) or "none, or unknown"),
            ("Handler", _shown(settings.fallback_handler) or "none, or unknown"),
        ]
        click.echo("\n".join(f"{name.ljust(12)} {text}" for name, text in rows))
        for one in cautions:
            click.echo(f"  ! {one.text}")

    session.output.answer(document, words)


@safe.command(
    "propose",
    examples=(
        "bursar eth safe propose 0x… pay.json 0x… 1.5eth",
        "bursar eth safe propose 0x… wages.json 0x… 2000usdc 0x… 1800usdc --note 'Wages of November'",
        "bursar eth safe propose 0x… owner.json --call 0x… 0x0d582f13…",
        "bursar eth safe propose 0x… reject.json --reject --nonce 12",
        "bursar eth safe propose 0x… theirs.json --from queue.json",
    ),
)
@click.argument("address")
@click.argument("file", type=click.Path())
@click.argument("payees", nargs=-1, metavar="[ADDRESS AMOUNT]...")
@click.option(
    "--call", "calls", nargs=2, multiple=True, metavar="ADDRESS DATA", help="Call a contract with DATA (0x…)."
)
@click.option("--from", "source", type=click.Path(allow_dash=True), metavar="FILE", help="Take over what others ask.")
@click.option("--reject", is_flag=True, help="Do nothing, so that what waits at --nonce can never be executed.")
@click.option("--nonce", type=click.IntRange(min=0), help="Another nonce than the Safe's next one.")
@click.option(
    "--batch", "batches", metavar="ADDRESS", help="MultiSend contract for several calls (default: the known)."
)
@click.option("--note", default="", help="For the owners; nobody signs it.")
@click.option("--chain", "which", metavar="CHAIN", help="Name or id of its chain (default: that of new accounts).")
@click.option("--any-chain", is_flag=True, help="Accept a Safe before 1.3.0, whose signatures count on every chain.")
@click.option(
    "--allow-delegate", "allowed", multiple=True, metavar="ADDRESS", help="Let this contract run as the Safe."
)
@pass_session
def propose(
    session: Session,
    address: str,
    file: str,
    payees: Sequence[str],
    calls: Sequence[tuple[str, str]],
    source: str | None,
    reject: bool,
    nonce: int | None,
    batches: str | None,
    note: str,
    which: str | None,
    any_chain: bool,
    allowed: Sequence[str],
) -> None:
    """Write a proposal for the Safe at ADDRESS to a new FILE: payments, calls, or what another program asks for.

    AMOUNT needs a unit: 1.5eth, 12usdc for a token this wallet knows. Several payments and calls are done in one batch,
    or not at all. --from reads typed data (EIP-712) or the JSON of the Safe transaction service; signatures in it are
    checked and kept. Nothing is sent, and nobody is asked for a signature.
    """
    from bursar.cli import safe_files
    from bursar.cli.safe_chain import look_up, stand
    from bursar.cli.safe_making import calls_of, taken_over, whole
    from bursar.cli.safe_review import document, proposal_text, review_of
    from bursar.ethereum.address import Address
    from bursar.ethereum.safe import Confirmations, Proposal, check_delegate_calls

    safe_files.require_new(file)
    delegates = _delegates(allowed)
    if sum((bool(payees or calls), source is not None, reject)) != 1:
        raise InvalidInputError(
            "say what the Safe shall do: ADDRESS AMOUNT, --call, --from a file, or --reject", code="input.usage"
        )
    if reject and nonce is None:
        raise InvalidInputError("--reject needs the --nonce that shall do nothing", code="input.usage")
    found = look_up(session, compose.chain_id_of(session, which), Address.from_text(address), any_chain=any_chain)
    if source is not None:
        made = taken_over(found, safe_files.read_raw(source), note)
    else:
        wanted: list[MultiSendCall] = calls_of(session, found.safe, payees, calls)
        tx = whole(found, wanted, nonce=found.state.nonce if nonce is None else nonce, batches=batches)
        made = Proposal(Confirmations(tx, found.state.owners, found.state.threshold), note)
    tx = made.transaction
    check_delegate_calls(tx.to, tx.data, tx.operation, delegates=delegates)
    standing = stand(session, made, offline=False)
    review = review_of(session, standing, "-", delegates=delegates)
    safe_files.write_new(file, standing.proposal.to_text())
    session.output.say(proposal_text(standing, review))
    _tell_written(session, file, found, standing.proposal)
    session.output.answer({**document(standing), "file": file}, lambda: None)


def _tell_written(session: Session, file: str, found: SafeOnChain, made: Proposal) -> None:
    missing = made.confirmations.missing
    still = (
        f"{missing} of its {len(found.state.owners)} owners still have to sign" if missing else "enough owners agree"
    )
    session.output.aside(f"Written to {file}: {still}.")


@safe.command("show", examples=("bursar eth safe show pay.json", "bursar eth safe show pay.json --offline --json"))
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--offline", is_flag=True, help="Do not ask the chain; the hashes are computed all the same.")
@click.option(
    "--allow-delegate", "allowed", multiple=True, metavar="ADDRESS", help="Let this contract run as the Safe."
)
@names_option
@pass_session
def show(session: Session, file: str, offline: bool, allowed: Sequence[str]) -> None:
    """Show what the proposal in FILE does, the hashes to compare, who has agreed, and what the policy says to it.

    Every signature is checked and every hash computed anew; without --offline the Safe's contract has to compute the
    same one.
    """
    from bursar.cli import safe_files
    from bursar.cli.clear_words import words_of_safe
    from bursar.cli.safe_chain import stand
    from bursar.cli.safe_review import document, proposal_text, review_of
    from bursar.errors import InvalidInputError
    from bursar.wallet.review_json import review_to_json

    standing = stand(session, safe_files.read_whole(file), offline=offline)
    tx, delegates = standing.proposal.transaction, _delegates(allowed)
    review = review_of(session, standing, "-", delegates=delegates)
    clear = words_of_safe(session, compose.wallet(session), tx)
    refusal = ""
    try:
        tx.typed_data(delegates=delegates)
    except InvalidInputError as error:
        refusal = error.message
    rules = compose.policy(session).explain(review, compose.wallet(session).policy_history())

    def words() -> None:
        click.echo(proposal_text(standing, review, clear=clear.text))
        click.echo(f"No owner should sign this: {refusal}" if refusal else rules)

    made = {
        **document(standing),
        "review": review_to_json(review),
        "clear_signing": clear.to_json(),
        "policy": rules,
        "refused": refusal or None,
    }
    session.output.answer(made, words)


def _delegates(allowed: Sequence[str]) -> frozenset[Address]:
    from bursar.cli.safe_making import delegates_of

    return delegates_of(allowed)


def _shown(address: object) -> str | None:
    return None if address is None or getattr(address, "is_zero", False) else str(address)


if TYPE_CHECKING:
    from bursar.ethereum.address import Address

for _command in (sign, confirmations, verify, execute):
    safe.add_command(_command)
