"""Transactions as bytes, made here or elsewhere: read strictly, shown field by field and in what they do."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError
from bursar.ethereum.payload import MOST_BLOB_BYTES
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.transaction.kinds import BLOB
from bursar.ethereum.transaction.reading import read_transaction
from bursar.json_text import nested_deeply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.policy.review import Asset, Review, ReviewWarning

_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)", re.ASCII)
_LONGEST = 4 * MOST_BLOB_BYTES  # hexadecimal, in JSON, and room
_SHOWN = 512  # bytes of data that are written out
_KINDS = (
    "0, legacy with a chain id (EIP-155)",
    "1, with an access list (EIP-2930)",
    "2, fee market (EIP-1559)",
    "3, with blobs (EIP-4844)",
    "4, with authorizations (EIP-7702)",
)


def given_transaction(given: str) -> SignedTransaction | UnsignedTransaction:
    """What is given as hexadecimal digits, or stands in a file ('-': standard input) as such, as bytes or as JSON."""
    found = _HEX.fullmatch(given)
    if found is not None and (given[:2] == "0x" or not Path(given).is_file()):
        return read_transaction(bytes.fromhex(found[1]))
    if given == "-":
        content = sys.stdin.buffer.read(_LONGEST + 1)
    else:
        if not Path(given).is_file():
            raise InvalidInputError(
                f"{given[:60]!r} is neither hexadecimal nor a file: give the transaction or a file", code="input.usage"
            )
        with Path(given).open("rb") as file:
            content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise InvalidInputError("no transaction is as long as this file", code="input.transaction")
    return _of_content(content)


def _of_content(content: bytes) -> SignedTransaction | UnsignedTransaction:
    try:
        text = content.strip().decode("ascii")
    except UnicodeDecodeError:
        return read_transaction(content)
    found = _HEX.fullmatch(text)
    if found is not None:
        return read_transaction(bytes.fromhex(found[1]))
    if text[:1] != "{" or nested_deeply(content, most=16):
        return read_transaction(content)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("the file holds no JSON that can be read", code="input.json") from error
    return SignedTransaction.from_json(data) if "raw" in data else UnsignedTransaction.from_json(data)


def sender_of(tx: SignedTransaction | UnsignedTransaction) -> Address | None:
    """Who signed it; ``None`` where nobody did."""
    return tx.sender if isinstance(tx, SignedTransaction) else None


def coin_of(session: Session, chain_id: int) -> Asset:
    """The coin of a chain; ether where the chain is not described."""
    from bursar.cli import compose
    from bursar.policy.review import Asset

    known = compose.chains(session).by_id.get(chain_id)
    return Asset("ethereum", f"eip155:{chain_id}", "ETH" if known is None else known.currency_symbol, 18)


def review_of(session: Session, tx: SignedTransaction | UnsignedTransaction) -> Review:
    """What it does, as reviews say it; of tokens registered in this wallet by their names."""
    from bursar.cli import compose
    from bursar.ethereum.review import effects
    from bursar.policy.ethereum_effects import review_parts
    from bursar.policy.review import Review

    unsigned = tx.unsigned if isinstance(tx, SignedTransaction) else tx
    sender, coin = sender_of(tx), coin_of(session, unsigned.chain_id)
    tokens = {}
    if session.home.wallet.is_file():
        tokens = {one.contract: one for one in compose.wallet(session).tokens() if one.chain_id == unsigned.chain_id}
    parts = review_parts(effects(unsigned, sender=sender, tokens=tokens), coin=coin)
    return Review(
        chain="ethereum",
        network=coin.network,
        account="not signed yet" if sender is None else str(sender),
        payments=parts.payments,
        change=(),
        fee=int(unsigned.max_fee),
        max_fee=int(unsigned.max_fee),
        fee_asset=coin,
        fee_rate="at the limits",
        warnings=(*parts.warnings, *_cautions(tx, unsigned, sender)),
        allowances=parts.allowances,
        delegations=parts.delegations,
        calls=parts.calls,
    )


def _cautions(
    tx: SignedTransaction | UnsignedTransaction, unsigned: UnsignedTransaction, sender: Address | None
) -> Iterator[ReviewWarning]:
    from bursar.ethereum.validity import check_transaction
    from bursar.policy.review import ReviewWarning

    try:
        check_transaction(unsigned, sender=sender, any_chain=True)
    except InvalidInputError as error:
        yield ReviewWarning("impossible", f"no block takes it as it is: {error.message}")
    if unsigned.type != BLOB or not isinstance(tx, SignedTransaction):
        return
    if tx.sidecar is None:
        yield ReviewWarning("no-blobs", "its blobs are not with it: nodes take it only with them")
        return
    if tx.sidecar.version != 1:
        yield ReviewWarning("blob-proofs", "its blobs have no cell proofs: networks ask for them (EIP-7594)")
    try:
        tx.sidecar.verify()
    except InvalidInputError as error:
        yield ReviewWarning("blob-proofs", error.message)


def field_rows(session: Session, tx: SignedTransaction | UnsignedTransaction) -> Iterator[tuple[str, str]]:
    """Every field, named, in the order in which people ask."""
    from bursar.cli import compose
    from bursar.policy.render import amount_text

    unsigned = tx.unsigned if isinstance(tx, SignedTransaction) else tx
    coin = coin_of(session, unsigned.chain_id)
    known = compose.chains(session).by_id.get(unsigned.chain_id)
    yield "Type", _KINDS[unsigned.type]
    if isinstance(tx, SignedTransaction):
        yield "Hash", tx.hash
        yield "Signed by", str(tx.sender)
    else:
        yield "Signed by", "nobody yet"
    yield "Hash that is signed", f"0x{unsigned.digest().hex()}"
    yield "Chain", f"{unsigned.chain_id}" + ("" if known is None else f" ({known.name})")
    yield "Nonce", str(unsigned.nonce)
    yield "To", "a new contract" if unsigned.to is None else str(unsigned.to)
    yield "Value", amount_text(int(unsigned.value), coin)
    yield "Gas limit", str(unsigned.gas_limit)
    if unsigned.gas_price is not None:
        yield "Price of gas", unsigned.gas_price.to_gwei_text()
    if unsigned.max_fee_per_gas is not None and unsigned.max_priority_fee_per_gas is not None:
        yield "Most for gas", unsigned.max_fee_per_gas.to_gwei_text()
        yield "Tip within it", unsigned.max_priority_fee_per_gas.to_gwei_text()
    yield "Data", _data(unsigned.data)
    for entry in unsigned.access_list:
        yield "Access to", f"{entry.address}"
        for key in entry.storage_keys:
            yield "  slot", f"0x{key.hex()}"
    if unsigned.max_fee_per_blob_gas is not None:
        yield "Most for blob gas", unsigned.max_fee_per_blob_gas.to_gwei_text()
    for one in unsigned.blob_versioned_hashes:
        yield "Blob", f"0x{one.hex()}"
    for held in unsigned.authorization_list:
        wanted = held.authorization
        where = "every chain" if wanted.any_chain else f"chain {wanted.chain_id}"
        yield "Authorization", f"of {held.authority} for {wanted.delegate}, nonce {wanted.nonce}, {where}"


def _data(data: bytes) -> str:
    if not data:
        return "none"
    more = "" if len(data) <= _SHOWN else f"… ({len(data)} bytes; --json has all of them)"
    return f"0x{data[:_SHOWN].hex()}{more}"


def transaction_text(session: Session, tx: SignedTransaction | UnsignedTransaction, review: Review) -> str:
    """The whole of it for people."""
    from bursar.policy.render import review_text

    rows = list(field_rows(session, tx))
    width = max(len(name) for name, _ in rows)
    lines = ["Transaction" if isinstance(tx, SignedTransaction) else "Transaction that is not signed"]
    lines += [f"  {name.ljust(width)}  {value}" for name, value in rows]
    # what the review says above its payments stands in the fields
    said = review_text(review).split("\nPays\n", 1)[1]
    return "\n".join(lines) + "\n\nPays\n" + said


def transaction_document(tx: SignedTransaction | UnsignedTransaction, review: Review) -> dict[str, Any]:
    """The same for programs."""
    from bursar.wallet.review_json import review_to_json

    signed = isinstance(tx, SignedTransaction)
    unsigned = tx.unsigned if isinstance(tx, SignedTransaction) else tx
    return {
        "signed": signed,
        "hash": tx.hash if isinstance(tx, SignedTransaction) else None,
        "signing_hash": f"0x{unsigned.digest().hex()}",
        "sender": str(tx.sender) if isinstance(tx, SignedTransaction) else None,
        "blobs_attached": isinstance(tx, SignedTransaction) and tx.sidecar is not None,
        "transaction": unsigned.to_json(),
        "review": review_to_json(review),
    }
