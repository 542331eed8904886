"""Keys, addresses and transactions of the simulated Trezor, each checked by code that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.trezor import TrezorSimulator
from embit import bip32, bip39, script
from embit.networks import NETWORKS
from trezor_host import KINDS, MODELS, PAYEE, path, session_of
from trezorlib import btc, exceptions, messages
from trezorlib.messages import InputScriptType, OutputScriptType

ALL = " ".join(["all"] * 12)
ACCOUNT = (
    "xpub6DDUPHpUo4pcy43iJeZjbSVWGav1SMMmuWdMHiGtkK8rhKmfbomtkwW6GKs1GGAKehT6QRocrmda3WWxXawpjmwaUHfFRXuKrXSapdckEYF"
)
FIRST = "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"

Start = Callable[..., TrezorSimulator]
Spend = Callable[[Any], Any]


@pytest.mark.parametrize("model", MODELS)
def test_the_published_keys_of_the_test_seed(model: str, trezor: Start) -> None:
    session = session_of(trezor(model))
    node = btc.get_public_node(session, path("m/84h/0h/0h"))
    assert node.xpub == ACCOUNT
    assert node.root_fingerprint == 0x5C9E228D
    shown = btc.get_address(
        session, "Bitcoin", path("m/84h/0h/0h/0/0"), script_type=InputScriptType.SPENDWITNESS, show_display=True
    )
    assert shown == FIRST


def test_which_firmware_describes_and_how(trezor: Start) -> None:
    told = {
        model: btc.get_public_node(
            session_of(trezor(model)), path("m/84h/0h/0h"), script_type=InputScriptType.SPENDWITNESS
        )
        for model in MODELS
    }
    assert told["T2T1"].descriptor is None
    for model in ("T1B1", "T3T1"):
        assert told[model].xpub.startswith("zpub")
        assert told[model].descriptor.startswith(f"wpkh([5c9e228d/84h/0h/0h]{ACCOUNT}/<0;1>/*)#")


@pytest.mark.parametrize("kind", KINDS)
def test_addresses_agree_with_another_library(kind: str, trezor: Start) -> None:
    session = session_of(trezor("T3T1"))
    purpose, script_type, _ = KINDS[kind]
    root = bip32.HDKey.from_seed(bip39.mnemonic_to_seed(ALL))
    make = {
        "p2pkh": script.p2pkh,
        "p2sh-p2wpkh": lambda key: script.p2sh(script.p2wpkh(key)),
        "p2wpkh": script.p2wpkh,
        "p2tr": script.p2tr,
    }[kind]
    for coin, network, coin_type in (("Bitcoin", "main", 0), ("Testnet", "test", 1), ("Regtest", "regtest", 1)):
        for index in (0, 7):
            where = f"m/{purpose}h/{coin_type}h/0h/1/{index}"
            expected = make(root.derive(where).get_public_key()).address(NETWORKS[network])
            assert btc.get_address(session, coin, path(where), script_type=script_type) == expected


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("serialize", [True, False])
def test_every_script_type_is_signed_and_the_kernel_agrees(
    model: str, serialize: bool, trezor: Start, spending: Spend
) -> None:
    session = session_of(trezor(model))
    for kind in KINDS:
        job = spending(session)
        job.coin(kind)
        job.pay(60_000)
        job.change(kind, 39_000)
        signatures, raw = job.sign(serialize=serialize)
        assert [signature is not None for signature in signatures] == [True]
        if serialize:
            tx = job.accepted(raw)
            assert [output.value for output in tx.outputs] == [60_000, 39_000]
        else:
            assert raw == b""


@pytest.mark.parametrize("model", MODELS)
def test_mixed_inputs(model: str, trezor: Start, spending: Spend) -> None:
    job = spending(session_of(trezor(model)))
    for index, kind in enumerate(("p2wpkh", "p2pkh", "p2tr", "p2sh-p2wpkh", "p2pkh", "p2wpkh")):
        job.coin(kind, index=index)
    job.pay(590_000)
    signatures, raw = job.sign(lock_time=400)
    assert all(signatures)
    assert job.accepted(raw).locktime == 400


def test_sixty_inputs(trezor: Start, spending: Spend) -> None:
    job = spending(session_of(trezor("T1B1")))
    for index in range(60):
        job.coin("p2wpkh", 10_000 + index, index)
    job.pay(590_000)
    job.accepted(job.sign()[1])


@pytest.mark.parametrize("model", MODELS)
def test_signatures_need_no_chance(model: str, trezor: Start, spending: Spend) -> None:
    signed = []
    for _ in range(2):
        job = spending(session_of(trezor(model)))
        job.coin("p2tr")
        job.coin("p2wpkh")
        job.pay(150_000)
        signed.append(job.sign())
    assert signed[0] == signed[1]


@pytest.mark.parametrize("model", MODELS)
def test_a_payment_is_shown_and_change_is_not(model: str, trezor: Start, spending: Spend) -> None:
    simulator = trezor(model)
    job = spending(session_of(simulator))
    job.coin("p2wpkh")
    job.pay(60_000)
    job.change("p2wpkh", 39_000)
    job.sign()
    text = humans.told(simulator.pages)
    assert PAYEE in "".join(page.text for page in simulator.pages)
    assert "0.0006 REGTEST" in text
    assert "0.00061 REGTEST" in text
    assert "0.00039" not in text


@pytest.mark.parametrize("model", MODELS)
def test_a_careful_human_sees_what_there_is_to_see(model: str, trezor: Start, spending: Spend) -> None:
    human = humans.approve_transfer(PAYEE, 60_000)
    job = spending(session_of(trezor(model, human=human)))
    job.coin("p2wpkh")
    job.pay(60_000)
    job.change("p2wpkh", 39_000)
    job.accepted(job.sign()[1])
    humans.finish(human)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("page", range(2))
def test_a_refusal_at_any_page_ends_it(model: str, page: int, trezor: Start, spending: Spend) -> None:
    human = humans.reject_at_end() if page else humans.reject()
    simulator = trezor(model, human=human)
    job = spending(session_of(simulator))
    job.coin("p2wpkh")
    job.pay(60_000)
    with pytest.raises(exceptions.Cancelled):
        job.sign()
    assert simulator.page() is None
    assert job.session.client.ping("still there") == "still there"


@pytest.mark.parametrize("model", MODELS)
def test_op_return_and_op_return_with_value(model: str, trezor: Start, spending: Spend) -> None:
    job = spending(session_of(trezor(model)))
    job.coin("p2wpkh")
    note = {"script_type": OutputScriptType.PAYTOOPRETURN, "op_return_data": b"hello", "amount": 0}
    job.outputs.append(messages.TxOutputType(**note))
    job.pay(90_000)
    tx = job.accepted(job.sign()[1])
    assert tx.outputs[0].script == b"\x6a\x05hello"
    job.outputs[0].amount = 1
    with pytest.raises(exceptions.TrezorFailure, match="non-zero amount"):
        job.sign()


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
@pytest.mark.parametrize("sorted_keys", [True, False])
@pytest.mark.parametrize(
    ("leaf", "script_type", "output_type"),
    [
        (0, InputScriptType.SPENDMULTISIG, OutputScriptType.PAYTOMULTISIG),
        (1, InputScriptType.SPENDP2SHWITNESS, OutputScriptType.PAYTOP2SHWITNESS),
        (2, InputScriptType.SPENDWITNESS, OutputScriptType.PAYTOWITNESS),
    ],
)
def test_multisig_of_two_devices(
    model: str,
    sorted_keys: bool,
    leaf: int,
    script_type: InputScriptType,
    output_type: OutputScriptType,
    trezor: Start,
    spending: Spend,
) -> None:
    """The first device's signature goes to the second, whose transaction is complete."""
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network

    sessions = [session_of(trezor(model, mnemonic=words)) for words in (ALL, "zoo " * 11 + "wrong")]
    account = f"m/48h/1h/0h/{leaf}h"
    nodes = [btc.get_public_node(one, path(account), coin_name="Regtest").node for one in sessions]

    def multisig(below: list[int], signatures: list[bytes]) -> Any:
        order = messages.MultisigPubkeysOrder.LEXICOGRAPHIC if sorted_keys else None
        return messages.MultisigRedeemScriptType(
            nodes=nodes, address_n=below, m=2, signatures=signatures, pubkeys_order=order
        )

    where = [*path(account), 0, 4]
    addresses = {
        btc.get_address(
            one, "Regtest", where, multisig=multisig([0, 4], [b"", b""]), script_type=script_type, show_display=True
        )
        for one in sessions
    }
    assert len(addresses) == 1
    output = Address.from_text(addresses.pop(), Network.REGTEST).script
    known = [b"", b""]
    raw = b""
    from bursar_devices.trezor import scripts

    for session in sessions:
        job = spending(session)
        told = {"address_n": where, "script_type": script_type, "multisig": multisig([0, 4], known)}
        job.add(output, 100_000, told)
        job.pay(60_000)
        back = multisig([1, 0], [b"", b""])
        change = {"address_n": [*path(account), 1, 0], "amount": 39_000, "script_type": output_type}
        job.outputs.append(messages.TxOutputType(multisig=back, **change))
        signatures, raw = job.sign()
        keys = scripts.multisig_keys(told["multisig"])
        below = btc.get_public_node(session, where, coin_name="Regtest").node.public_key
        known[keys.index(below)] = signatures[0] or b""
    assert all(known)
    job.accepted(raw)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fee_is_raised(model: str, kind: str, trezor: Start, spending: Spend) -> None:
    """A replacement is shown as such, not as the payment it replaces."""
    from bursar.bitcoin.wire import stack

    simulator = trezor(model)
    job = spending(session_of(simulator))
    job.coin(kind)
    job.pay(60_000)
    job.change(kind, 39_000)
    first = job.accepted(job.sign(version=2)[1])
    tx_hash = bytes(first.txid)[::-1]
    told = job.coins[0][0]
    proof = first.inputs[0]
    fields = {name: getattr(told, name) for name in ("address_n", "prev_hash", "prev_index", "amount", "script_type")}
    before = messages.TxInputType(
        **fields,
        sequence=told.sequence,
        script_sig=proof.script_sig,
        witness=stack(proof.witness) if proof.witness else None,
    )
    job.previous[tx_hash] = messages.TransactionType(
        version=2, lock_time=0, inputs=[before], outputs=[messages.TxOutputType(**vars(one)) for one in job.outputs]
    )
    told.orig_hash, told.orig_index = tx_hash, 0
    for index, output in enumerate(job.outputs):
        output.orig_hash, output.orig_index = tx_hash, index
    job.outputs[1].amount -= 2_000
    shown = len(simulator.pages)
    second = job.accepted(job.sign(version=2)[1])
    assert [output.value for output in second.outputs] == [60_000, 37_000]
    assert PAYEE not in "".join(page.text for page in simulator.pages[shown:])
    job.outputs[0].amount += 1
    with pytest.raises(exceptions.TrezorFailure, match="Increasing original output amounts"):
        job.sign(version=2)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "script_type", [InputScriptType.SPENDADDRESS, InputScriptType.SPENDP2SHWITNESS, InputScriptType.SPENDWITNESS]
)
def test_messages_verify_here_and_elsewhere(model: str, script_type: InputScriptType, trezor: Start) -> None:
    from coincurve import PublicKey
    from embit.hashes import double_sha256

    session = session_of(trezor(model))
    purpose = {kind[1]: kind[0] for kind in KINDS.values()}[script_type]
    where = path(f"m/{purpose}h/0h/0h/0/0")
    signed = btc.sign_message(session, "Bitcoin", where, "hello", script_type=script_type)
    assert btc.verify_message(session, "Bitcoin", signed.address, signed.signature, "hello")
    assert not btc.verify_message(session, "Bitcoin", signed.address, signed.signature, "hullo")
    digest = double_sha256(b"\x18Bitcoin Signed Message:\n\x05hello")
    recovery = (signed.signature[0] - 27) % 4
    found = PublicKey.from_signature_and_message(signed.signature[1:] + bytes([recovery]), digest, hasher=None)
    assert found.format() == btc.get_public_node(session, where).node.public_key
