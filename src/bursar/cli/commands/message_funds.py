"""``bursar message prove`` and ``verify-funds``: proof of funds (BIP-322), made and held against the chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.cli.message_proofs import file_options
from bursar.cli.prompts import signer_options
from bursar.errors import ChainError, InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.coins import Coin
    from bursar.bitcoin.transaction import OutPoint, Transaction, TxOut
    from bursar.chain.protocols import BitcoinBackend
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.coin_records import CoinRecord
    from bursar.wallet.wallet import Wallet

_MOST_SCRIPTS = 10_000


@command(
    "prove",
    examples=(
        'bursar message prove savings "Reserves of November, for Auditor Ltd" -o reserves.txt',
        'bursar message prove savings "for the landlord" --coin 5f1c…:0 --coin 77aa…:1',
        'bursar message prove board "Reserves" --signer software:alpha --export half.psbt',
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("message", metavar="MESSAGE")
@click.option("--coin", "named", multiple=True, metavar="COIN", help="Only this coin (txid:vout); may be repeated.")
@click.option(
    "--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Of the address that signs the message.  [default: 0]"
)
@click.option("-o", "--output", "out", type=click.Path(), metavar="FILE", help="Write the proof to a new FILE.")
@file_options
@signer_options
@pass_session
def prove(
    session: Session,
    account: str,
    message: str,
    named: Sequence[str],
    index: int,
    out: str | None,
    given: Sequence[str],
    to: str | None,
    unlock: Unlock,
) -> None:
    """Sign MESSAGE ('-': standard input) in a way that shows what ACCOUNT can spend: a proof of funds (BIP-322).

    All confirmed coins are shown, or those named. Name in MESSAGE for whom the proof is and when: it can be shown
    to others. It tells its reader that these coins have one owner. Nothing moves: what is signed can never be mined.
    """
    from bursar.bitcoin.message import message_psbt
    from bursar.bitcoin.units import Sats
    from bursar.chain.protocols import BitcoinBackend
    from bursar.cli import message_proofs, psbt_file
    from bursar.wallet.accounts import AnyEthereum

    psbt_file.require_new(out)
    text = message_proofs.read_text(message)
    wallet = compose.wallet(session)
    record = wallet.account(account)
    held = record.account
    if isinstance(held, AnyEthereum):
        raise InvalidInputError(
            f"account {account!r} is on ethereum: proofs of funds are for bitcoin", code="input.account"
        )
    node = compose.synchronise(session, wallet, record)
    assert isinstance(node, BitcoinBackend)
    chosen = _chosen(wallet, account, named)
    coins = _coins(held, chosen, node)
    where = held.address(0, index)
    psbt = message_psbt(held.spending(0, index), text, coins=coins)
    unspent = {coin.outpoint: coin.output for coin in coins}
    proof = message_proofs.prove(session, record, psbt, text, where, unlock=unlock, given=given, to=to, coins=unspent)
    if proof is None:
        return
    if out is not None:
        with Path(out).open("x", encoding="ascii") as file:
            file.write(proof + "\n")
    total = sum(one.value for one in chosen)
    document = {
        "address": str(where),
        "signature": proof,
        "coins": [one.outpoint for one in chosen],
        "amount": str(total),
        **({} if out is None else {"file": out}),
    }

    def words() -> None:
        if out is None:
            click.echo(f"{where}\n{proof}")
            return
        count = f"{len(chosen)} coin{'' if len(chosen) == 1 else 's'}"
        click.echo(f"{count} of {Sats(total).to_btc_text()}, shown by {where}, in {out}.")
        click.echo(f"To verify: bursar message verify-funds {where} {out} MESSAGE")

    session.output.answer(document, words)


@command(
    "verify-funds",
    examples=('bursar message verify-funds bc1q… reserves.txt "Reserves of November, for Auditor Ltd"',),
)
@click.argument("address")
@click.argument("signature", metavar="PROOF|FILE")
@click.argument("message", metavar="MESSAGE")
@click.option("--network", help="Bitcoin network (default: the one in config.toml).")
@pass_session
def verify_funds(session: Session, address: str, signature: str, message: str, network: str | None) -> None:
    """Check a proof of funds: that ADDRESS signed MESSAGE, and that every coin shown is unspent on the chain now.

    Your node is asked, not the prover. A proof says nothing of debts, of other coins, or of a minute from now.
    """
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.message import verify_message
    from bursar.bitcoin.network import Network
    from bursar.cli.message_proofs import proof_document, proof_words, read_signature, read_text

    settings = compose.settings(session)
    where = Address.from_text(address, Network.from_text(network) if network else settings.network)
    text, signed = read_text(message), read_signature(signature)
    claimed = verify_message(where, text, signed)  # before a node is bothered
    if not claimed.coins:
        raise InvalidInputError(
            "this signature holds but shows no coins: it is no proof of funds (bursar message verify)",
            code="input.message",
        )
    node = compose.bitcoin_node(session, where.network)
    with session.output.progress("asking the node about the coins"):
        unspent = _unspent(node, dict(claimed.coins))
    proof = verify_message(where, text, signed, coins=unspent)
    document = {"address": address, "verified": True, **proof_document(proof)}
    session.output.answer(document, lambda: click.echo("\n".join([f"Signed by {address}", *proof_words(proof)])))


def _chosen(wallet: Wallet, account: str, named: Sequence[str]) -> list[CoinRecord]:
    """The coins to show: confirmed ones, or those named."""
    from bursar.bitcoin.transaction import OutPoint

    known = {one.outpoint: one for one in wallet.coins(account) if one.state in ("confirmed", "immature")}
    if not named:
        found = [one for one in known.values() if one.state == "confirmed"]
        if not found:
            raise InvalidInputError(f"account {account!r} has no confirmed coins to show", code="input.coin.fixed")
        return found
    chosen = []
    for text in dict.fromkeys(str(OutPoint.from_text(one)) for one in named):
        if text not in known:
            raise InvalidInputError(
                f"{text} is no confirmed coin of account {account!r}: see 'bursar coins list'", code="input.coin.fixed"
            )
        chosen.append(known[text])
    return chosen


def _coins(account: ScriptAccount, records: Sequence[CoinRecord], node: BitcoinBackend) -> list[Coin]:
    """The coins with all that their signers need to know of them."""
    from bursar.bitcoin.accounts import descriptor_of
    from bursar.bitcoin.coins import Coin, CoinScript
    from bursar.bitcoin.transaction import OutPoint

    descriptor = descriptor_of(account)
    previous: dict[str, Transaction] = {}
    coins = []
    for one in records:
        outpoint = OutPoint.from_text(one.outpoint)
        branch, index = (int(step) for step in one.path.rsplit("/", 2)[-2:])
        name = str(outpoint.txid)
        if name not in previous:
            found = node.transaction(outpoint.txid)
            if found is None:
                raise ChainError(
                    f"the node does not know transaction {name}, whose output it listed: sync again",
                    code="chain.previous",
                )
            previous[name] = found.tx
        tx = previous[name]
        key = CoinScript(account.spending(branch, index), descriptor.max_input_weight(branch, index))
        coins.append(Coin(outpoint, tx.outputs[outpoint.vout], key, one.height, previous=tx))
    return coins


def _unspent(node: BitcoinBackend, claimed: Mapping[OutPoint, TxOut]) -> dict[OutPoint, TxOut]:
    """The confirmed unspent outputs of these scripts, as the node knows them, that no waiting transaction spends."""
    from bursar.chain.protocols import SyncRequest

    wanted = tuple(dict.fromkeys(output.script for output in claimed.values()))
    if len(wanted) > _MOST_SCRIPTS:
        raise InvalidInputError(f"the proof shows more than {_MOST_SCRIPTS} addresses", code="input.message")
    node.check_network()
    update = node.sync(SyncRequest(wanted))
    waiting = [one.tx for one in update.transactions if one.block is None]
    leaving = {spent.outpoint: tx.txid for tx in waiting for spent in tx.inputs}
    for coin in update.coins:
        if coin.outpoint in leaving and coin.outpoint in claimed:
            raise InvalidSignatureError(
                f"the coin {coin.outpoint} is about to be spent by {leaving[coin.outpoint]}, which waits for a block"
            )
    return {coin.outpoint: coin.output for coin in update.coins}
