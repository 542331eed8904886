"""A Trezor that lies while it signs: it gets nothing it has no business with, and no result comes of it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from embit import bip32
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trezorlib import messages as m

from bursar.backends.trezor.bitcoin_signing import sign_psbt
from bursar.errors import BursarError, InvalidInputError, SignerMisbehavedError
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance.questions import Spend, question

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

R = m.RequestType
ALL_SCHEMES = tuple(Scheme)


def request(kind: Any, *, part: Any = None, **details: Any) -> Any:
    return m.TxRequest(request_type=kind, details=m.TxRequestDetailsType(**details), serialized=part)


def piece(index: int | None = None, signature: bytes | None = None, tx: bytes | None = None) -> Any:
    return m.TxRequestSerializedType(signature_index=index, signature=signature, serialized_tx=tx)


@pytest.fixture
def psbt(trezor: SimpleNamespace) -> Psbt:
    """A P2WPKH and a taproot input, and change."""
    account = trezor.account()
    return question([Spend(account), Spend(trezor.account(Scheme.BIP86))], change=account)


def until_signing(trezor: SimpleNamespace, psbt: Psbt) -> tuple[Any, Any]:
    """The exchange and its SignTx, the public keys being known."""
    known = {one.origin.path.indexes: one.xpub for one in map(trezor.account, ALL_SCHEMES)}
    exchange = sign_psbt(m, psbt, fingerprint=trezor.fingerprint, firmware=trezor.modern, known=known)
    said = next(exchange)
    assert isinstance(said, m.SignTx)
    return exchange, said


STRANGE = [
    request(R.TXINPUT, request_index=2),
    request(R.TXINPUT, request_index=2**32 - 1),
    request(R.TXINPUT),
    request(R.TXOUTPUT, request_index=2),
    request(R.TXOUTPUT),
    request(R.TXMETA),
    request(R.TXMETA, tx_hash=bytes(32)),
    request(R.TXMETA, tx_hash=b"\1"),
    request(R.TXINPUT, request_index=0, tx_hash=bytes(32)),
    request(R.TXORIGINPUT, request_index=0, tx_hash=bytes(32)),
    request(R.TXORIGOUTPUT, request_index=0, tx_hash=bytes(32)),
    request(R.TXEXTRADATA, extra_data_offset=0, extra_data_len=1000),
    request(R.TXPAYMENTREQ, request_index=0),
    request(None),
    request(77),
    m.TxRequest(request_type=R.TXINPUT),
    m.TxRequest(),
    m.TxRequest(request_type=R.TXFINISHED),
    request(R.TXINPUT, request_index=0, part=piece(2, b"\x30" * 70)),
    request(R.TXINPUT, request_index=0, part=piece(0)),
    request(R.TXINPUT, request_index=0, part=piece(0, b"")),
    request(R.TXINPUT, request_index=0, part=piece(0, b"\x30" * 73)),
    request(R.TXINPUT, request_index=0, part=piece(0, b"\x30" * 7)),
    request(R.TXINPUT, request_index=0, part=piece(1, b"\x30" * 70)),
    request(R.TXINPUT, request_index=0, part=piece(1, b"\x30" * 65)),
    request(R.TXINPUT, request_index=0, part=piece(None, b"\x30" * 70)),
    request(R.TXINPUT, request_index=0, part=piece(tx=bytes(50_000))),
    m.Success(),
    m.Address(address="x"),
    m.EthereumTxRequest(data_length=5),
]


@pytest.mark.parametrize("said", STRANGE, ids=range(len(STRANGE)))
def test_what_no_honest_device_says(trezor: SimpleNamespace, psbt: Psbt, said: Any) -> None:
    exchange, _ = until_signing(trezor, psbt)
    with pytest.raises(SignerMisbehavedError):
        exchange.send(said)


def test_the_previous_transactions_parts_are_bounded(trezor: SimpleNamespace, psbt: Psbt) -> None:
    for kind in (R.TXINPUT, R.TXOUTPUT):
        for index in (1 if kind is R.TXINPUT else 2, None):
            exchange, _ = until_signing(trezor, psbt)
            tx_hash = psbt.tx.inputs[0].outpoint.txid[::-1]
            exchange.send(request(R.TXMETA, tx_hash=tx_hash))
            with pytest.raises(SignerMisbehavedError, match="previous transaction"):
                exchange.send(request(kind, request_index=index, tx_hash=tx_hash))


def test_it_may_not_sign_twice(trezor: SimpleNamespace, psbt: Psbt) -> None:
    exchange, _ = until_signing(trezor, psbt)
    exchange.send(request(R.TXINPUT, request_index=0, part=piece(1, bytes(64))))
    with pytest.raises(SignerMisbehavedError, match="twice"):
        exchange.send(request(R.TXINPUT, request_index=0, part=piece(1, bytes(64))))


def test_it_may_not_finish_early(trezor: SimpleNamespace, psbt: Psbt) -> None:
    exchange, _ = until_signing(trezor, psbt)
    with pytest.raises(SignerMisbehavedError, match="without a signature of input 0"):
        exchange.send(request(R.TXFINISHED, part=piece(1, bytes(64))))


def test_it_may_not_ask_for_ever(trezor: SimpleNamespace, psbt: Psbt) -> None:
    exchange, _ = until_signing(trezor, psbt)

    def ask() -> None:
        for _ in range(10_000):
            exchange.send(request(R.TXINPUT, request_index=0))

    with pytest.raises(SignerMisbehavedError, match="without end"):
        ask()


@pytest.mark.parametrize("count", [1, 7, 40])
def test_an_honest_device_never_reaches_the_bound(trezor: SimpleNamespace, count: int) -> None:
    """However the inputs are and however many."""
    for schemes in ((Scheme.BIP44,), (Scheme.BIP86,), ALL_SCHEMES):
        signer = trezor.signer()
        spends = [Spend(trezor.account(schemes[number % len(schemes)]), 0, number) for number in range(count)]
        psbt = question(spends)
        before = len(signer.device.heard)
        request_signatures(signer, psbt)
        asked = len([1 for kind, _ in signer.device.heard[before:] if kind == m.TxAck.MESSAGE_WIRE_TYPE])
        exchange, _ = until_signing(trezor, psbt)
        stream = exchange.gi_frame.f_locals["stream"]
        assert asked < stream._left
        exchange.close()


def test_old_firmware_hands_the_transaction_back(trezor: SimpleNamespace, psbt: Psbt) -> None:
    signer = trezor.signer()
    signer.device.serialize_anyway = True
    request_signatures(signer, psbt)


@pytest.mark.parametrize("at", [0, 10, 60, -1])
def test_a_changed_transaction_handed_back_is_noticed(trezor: SimpleNamespace, psbt: Psbt, at: int) -> None:
    signer = trezor.signer()
    signer.device.serialize_anyway = True
    raw = bytearray()

    def twist(reply: Any) -> Any:
        part = getattr(reply, "serialized", None)
        if part is not None and part.serialized_tx:
            start = len(raw)
            raw.extend(part.serialized_tx)
            end = len(raw)
            place = at if at >= 0 else len(psbt.tx.serialize()) - 1
            if start <= place < end:
                changed = bytearray(part.serialized_tx)
                changed[place - start] ^= 1
                part.serialized_tx = bytes(changed)
        return reply

    signer.device.twist = twist
    with pytest.raises(SignerMisbehavedError, match=r"transaction it was given|hands back is none|hands back another"):
        signer.sign_psbt(psbt)


@pytest.mark.parametrize("spoil", [lambda one: one[:-1] + bytes((one[-1] ^ 1,)), lambda one: bytes(len(one))])
def test_a_wrong_signature_is_noticed_by_the_checks(
    trezor: SimpleNamespace, psbt: Psbt, spoil: Callable[[bytes], bytes]
) -> None:
    signer = trezor.signer()

    def twist(reply: Any) -> Any:
        part = getattr(reply, "serialized", None)
        if part is not None and part.signature:
            part.signature = spoil(part.signature)
        return reply

    signer.device.twist = twist
    with pytest.raises(SignerMisbehavedError):
        request_signatures(signer, psbt)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth", 2),
        ("depth", 300),
        ("child_num", 5),
        ("fingerprint", 7),
        ("chain_code", bytes(31)),
        ("chain_code", bytes(32)),
        ("public_key", b"\x02" + bytes(32)),
        ("public_key", b""),
    ],
)
def test_a_public_key_that_lies(trezor: SimpleNamespace, psbt: Psbt, field: str, value: Any) -> None:
    signer = trezor.signer()

    def twist(reply: Any) -> Any:
        setattr(reply.node, field, value)
        return reply

    signer.device.twist = twist
    with pytest.raises(SignerMisbehavedError, match="public key"):
        signer.sign_psbt(psbt)


def test_another_devices_account_key_signs_nothing(trezor: SimpleNamespace, psbt: Psbt) -> None:
    """A device with other keys under the same fingerprint is found out before it is told anything."""
    signer = trezor.signer()
    signer.device.root = bip32.HDKey.from_seed(bytes(64))
    with pytest.raises(InvalidInputError) as caught:
        signer.sign_psbt(psbt)
    assert caught.value.code == "input.psbt.key"


# --- whatever it asks ---

NUMBERS = st.one_of(st.none(), st.integers(0, 3), st.integers(0, 2**32 - 1))
HASHES = st.one_of(st.none(), st.integers(0, 1), st.binary(max_size=40))
PARTS = st.one_of(
    st.none(),
    st.builds(
        piece,
        NUMBERS,
        st.one_of(st.none(), st.binary(max_size=80), st.just(bytes(64)), st.just(bytes(70))),
        st.one_of(st.none(), st.binary(max_size=200)),
    ),
)
KINDS = st.one_of(st.sampled_from(list(R)), st.none(), st.integers(0, 300))
ANY = st.tuples(KINDS, NUMBERS, HASHES, NUMBERS, NUMBERS, PARTS)


@given(said=st.lists(ANY, max_size=30))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_it_asks_ends_well(trezor: SimpleNamespace, psbt: Psbt, said: list[Any]) -> None:
    """Any sequence of requests: an answer that is part of the question, a result, or a typed error."""
    exchange, _ = until_signing(trezor, psbt)
    hashes = [one.outpoint.txid[::-1] for one in psbt.tx.inputs]
    for kind, index, which, offset, length, part in said:
        tx_hash = hashes[which] if isinstance(which, int) else which
        details = m.TxRequestDetailsType(
            request_index=index, tx_hash=tx_hash, extra_data_offset=offset, extra_data_len=length
        )
        try:
            answer = exchange.send(m.TxRequest(request_type=kind, details=details, serialized=part))
        except (StopIteration, BursarError):
            return
        assert isinstance(answer, (m.TxAckInput, m.TxAckOutput, m.TxAckPrevMeta, m.TxAckPrevInput, m.TxAckPrevOutput))
    exchange.close()
