"""Silent payments (BIP-352): scanning transactions for one wallet, from tweak data and from whole transactions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pairing import Contender

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr, p2wpkh
from bursar.bitcoin.silent_payments import PayingInput, PublicInputs, Scanner, SilentPaymentKeys, send_outputs
from bursar.bitcoin.silent_payments.inputs import input_hash
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.points import add_public_keys
from bursar.crypto.secp256k1 import public_key
from bursar.crypto.secret import Secret

KEYS = SilentPaymentKeys(Network.MAIN, Secret(bytes([8]) * 32), public_key(bytes([9]) * 32))
LABEL = public_key(KEYS.label_tweak(0).expose())
ITEMS = 1000
HIT = 100  # one transaction in so many pays the wallet


@cache
def transactions() -> list[tuple[Transaction, list[bytes]]]:
    """Two P2WPKH inputs and two taproot outputs each."""
    made = []
    for number in range(ITEMS):
        secrets = [sha256(number.to_bytes(4, "big") + bytes([place])) for place in range(4)]
        keys = [public_key(secret) for secret in secrets]
        spent = [p2wpkh(hash160(key)) for key in keys[:2]]
        outpoints = [OutPoint(Txid(secrets[place]), place) for place in range(2)]
        outputs = [p2tr(key[1:]) for key in keys[2:]]
        if not number % HIT:
            paying = [
                PayingInput(*one)
                for one in zip(outpoints, spent, [Secret(secret) for secret in secrets[:2]], strict=True)
            ]
            outputs[1] = send_outputs(paying, [KEYS.address() if number % (2 * HIT) else KEYS.change_address()])[0]
        inputs = [
            TxIn(outpoint, b"", 0xFFFFFFFF, (bytes(71), key)) for outpoint, key in zip(outpoints, keys, strict=False)
        ]
        made.append((Transaction(2, inputs, [TxOut(Sats(1000), script) for script in outputs]), spent))
    return made


@cache
def tweaks() -> list[tuple[bytes, list[tuple[int, bytes]]]]:
    """Tweak data and output keys of the same transactions."""
    made = []
    for tx, _ in transactions():
        key = add_public_keys([one.witness[1] for one in tx.inputs]) or b""
        inputs = PublicInputs(key, input_hash([one.outpoint for one in tx.inputs], key))
        made.append((inputs.tweak, [(place, output.script[2:]) for place, output in enumerate(tx.outputs)]))
    return made


@cache
def _items(mode: str) -> str:
    items = b""
    for (tx, _), (tweak, outputs) in zip(transactions(), tweaks(), strict=True):
        if mode == "tweak":
            items += tweak
        else:
            items += min(one.outpoint.txid + one.outpoint.vout.to_bytes(4, "little") for one in tx.inputs)
            items += b"".join(one.witness[1] for one in tx.inputs)
        items += b"".join(key for _, key in outputs)
    return items.hex()


def request(mode: str) -> Callable[[int], str]:
    """The floor's request: the same transactions, reduced to what the curve needs of them."""
    keys = f"{KEYS.scan.expose().hex()} {KEYS.spend.hex()} {LABEL.hex()}"
    return lambda count: f"silent {mode} {count} {keys} {_items(mode)}"


@cache
def scanner(labels: int) -> Scanner:
    return Scanner(KEYS, labels=range(1, labels + 1))


def contenders(mode: str) -> list[Contender]:
    """Bursar's ways: the change label is always looked for; with many labels outputs are subtracted instead."""

    def run(labels: int) -> Callable[[int], list[bytes]]:
        def scan(count: int) -> list[bytes]:
            one = scanner(labels)
            if mode == "tweak":
                some = tweaks()
                found = [one.outputs(*some[number % ITEMS]) for number in range(count)]
            else:
                txs = transactions()
                found = [one.transaction(*txs[number % ITEMS]) for number in range(count)]
            return [hit.key for several in found for hit in several]

        return scan

    made = [Contender("bursar", run(0), target=1.50), Contender("bursar, 10,000 labels", run(10_000))]
    other = peer(mode)
    return made if other is None else [*made, other]


def peer(mode: str) -> Contender | None:
    """libsecp256k1's own scanning module, through its binding."""
    try:
        from btclib_secp256k1 import silentpayments
    except ImportError:
        return None
    labels = dict([silentpayments.label(KEYS.scan.expose(), 0)])
    scan = KEYS.scan.expose()
    if mode == "tweak":
        return None  # it takes inputs only

    def run(count: int) -> list[bytes]:
        found = []
        txs = transactions()
        for number in range(count):
            tx, _ = txs[number % ITEMS]
            smallest = min(one.outpoint.txid + one.outpoint.vout.to_bytes(4, "little") for one in tx.inputs)
            summary = silentpayments.prevouts_summary(smallest, pubkeys_bytes=[one.witness[1] for one in tx.inputs])
            outputs = [output.script[2:] for output in tx.outputs]
            hits = silentpayments.scan_outputs(outputs, scan, summary, KEYS.spend, labels)
            found += [bytes(key) for key, _, _ in hits]
        return found

    return Contender("btclib-secp256k1", run)
