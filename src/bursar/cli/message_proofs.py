"""Messages signed through PSBTs (BIP-322): by signers here, one after the other, or elsewhere by file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.message import MessageProof
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import OutPoint, TxOut
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord

LARGEST_MESSAGE = 1_000_000  # bytes
_LARGEST_PROOF = 100_000_000


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--export`` and ``--import``, for signers elsewhere."""
    for option in (
        click.option(
            "--import",
            "given",
            type=click.Path(allow_dash=True),
            multiple=True,
            metavar="FILE",
            help="BIP-322: take over the signatures in this PSBT, then go on; may be repeated.",
        ),
        click.option(
            "--export",
            "to",
            type=click.Path(),
            metavar="FILE",
            help="BIP-322: write the PSBT to a new FILE for a signer elsewhere; with --signer, once that one signed.",
        ),
    ):
        function = option(function)
    return function


def prove(
    session: Session,
    record: AccountRecord,
    psbt: Psbt,
    message: bytes,
    address: Address,
    *,
    unlock: Unlock,
    given: Sequence[str],
    to: str | None,
    full: bool = False,
    coins: Mapping[OutPoint, TxOut] | None = None,
) -> str | None:
    """The verified proof; ``None`` where signatures lack, and the PSBT was given back for those who have them."""
    from bursar.bitcoin.finalize import combine
    from bursar.bitcoin.message import encode_proof, verify_message
    from bursar.cli import psbt_file

    psbt_file.require_new(to)
    for name in given:
        psbt = combine([psbt, psbt_file.read(name)])
    final = _finalized(psbt)
    if final is None and (to is None or unlock.signer is not None):
        psbt = _signed(session, record, psbt, message, unlock)
        final = _finalized(psbt)
    if final is None:
        state = psbt_file.describe(psbt, address.network)["inputs"][0]["state"]
        psbt_file.write(session, psbt, to=to, binary=False, complete=False, state=state)
        session.output.aside(
            f"So far: {state}. Give this PSBT to the next signer, who runs the same command with --import FILE; once "
            "there are enough signatures, it prints the proof."
        )
        return None
    text = encode_proof(final, full=full)
    verify_message(address, message, text, coins=coins)
    return text


def _finalized(psbt: Psbt) -> Psbt | None:
    from bursar.bitcoin.finalize import finalize

    try:
        return finalize(psbt)
    except InvalidInputError as error:
        if error.code != "input.psbt.unsigned":
            raise
        return None


def _signed(session: Session, record: AccountRecord, psbt: Psbt, message: bytes, unlock: Unlock) -> Psbt:
    from bursar.signing.messages import request_proof
    from bursar.signing.protocols import PsbtSigner

    usual = record.signer if len(record.signers) < 2 else None
    if unlock.signer is None and usual is None:
        unlock = unlock.naming(_cosigner_here(session, record))
    with compose.signer(session, unlock, usual) as (selector, opened):
        if not isinstance(opened, PsbtSigner):
            raise UnsupportedError(
                f"{selector} does not sign psbts, and so no messages of this form", operation="sign_psbt"
            )
        with session.output.progress(f"{selector} signs"):
            return request_proof(opened, psbt, message)


def _cosigner_here(session: Session, record: AccountRecord) -> str:
    from bursar.cli.cosigning import reachable

    found = reachable(session, record.signers)
    if found is None:
        wanted = ", ".join(record.signers) or "it is only watched"
        raise InvalidInputError(
            f"none of the signers of account {record.name!r} is here ({wanted}): write the psbt for one elsewhere with "
            "--export FILE",
            code="input.signer",
        )
    return found


def read_text(argument: str) -> bytes:
    """A message given as an argument, or on standard input for ``-``."""
    if argument != "-":
        return argument.encode()
    data = sys.stdin.buffer.read(LARGEST_MESSAGE + 1)
    if len(data) > LARGEST_MESSAGE:
        raise InvalidInputError(f"the message is longer than {LARGEST_MESSAGE} bytes", code="input.message")
    return data


def read_signature(given: str) -> str:
    """A signature given as an argument, or the one that the file of this name holds: proofs can be long."""
    path = Path(given)
    if len(given) > 200 or not path.is_file():
        return given
    with path.open("rb") as file:
        data = file.read(_LARGEST_PROOF + 1)
    if len(data) > _LARGEST_PROOF:
        raise InvalidInputError(f"{given} is longer than any signature", code="input.signature")
    return "".join(data.decode("ascii", "replace").split())


def bitcoin_address(text: str) -> Address:
    """On whichever network it belongs to: the network does not matter to a signature."""
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network

    for network in (Network.TESTNET, Network.REGTEST):
        try:
            return Address.from_text(text, network)
        except InvalidInputError:
            continue
    return Address.from_text(text, Network.MAIN)


def proof_document(proof: MessageProof) -> dict[str, Any]:
    """What a verified proof says, for JSON; amounts in satoshi as text."""
    coins = [{"coin": str(outpoint), "amount": str(int(output.value))} for outpoint, output in proof.coins]
    return {
        "format": proof.format.name.lower(),
        "locktime": proof.locktime,
        "sequence": proof.sequence,
        "coins": coins,
        "coins_checked": proof.coins_checked,
    }


def proof_words(proof: MessageProof) -> list[str]:
    """What is to be added to 'signed'."""
    from bursar.bitcoin.units import Sats

    lines = []
    if proof.locktime or proof.sequence:
        lines.append(f"as it can spend at lock time {proof.locktime} and sequence {proof.sequence}, not now")
    if proof.coins:
        total = Sats(sum(output.value for _, output in proof.coins)).to_btc_text()
        count = f"{len(proof.coins)} coin{'' if len(proof.coins) == 1 else 's'}"
        if proof.coins_checked:
            lines.append(f"{count} of {total} in all, each of them unspent on the chain now")
        else:
            lines.append(f"It claims {count} of {total}; whether they exist: bursar message verify-funds")
    return lines
