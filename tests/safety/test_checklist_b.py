"""Checklist B, change and destination (rows 13 to 23): what is not proven to return is a payment, or a fraud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2wpkh, p2wsh
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import Sats
from bursar.cli.psbt_review import review_of
from bursar.crypto import bech32
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import public_key
from bursar.errors import ConflictError, InvalidInputError, SignerMisbehavedError
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.change import change_outputs
from bursar.signing.checks import confirm_address, request_signatures
from bursar.wallet import PaymentOrder, Transfer

Refused = Callable[..., str]
SCHEMES = list(Scheme)


def claimed(psbt: Psbt, script: bytes, key: bytes, origin: KeyOrigin) -> Psbt:
    """Output 1 pays ``script`` and says that it is ``key`` from ``origin``."""
    outputs = (psbt.tx.outputs[0], TxOut(psbt.tx.outputs[1].value, script))
    made = Psbt(Transaction(2, psbt.tx.inputs, outputs, 0))
    for new, old in zip(made.inputs, psbt.inputs, strict=True):
        new.fields.update(old.fields)
    if script[:2] == b"\x51\x20":
        made.outputs[1].tap_internal_key = key[1:]
        made.outputs[1].tap_bip32_derivations[key[1:]] = ((), origin)
    else:
        made.outputs[1].bip32_derivations[key] = origin
        if script[:1] == b"\xa9":
            made.outputs[1].redeem_script = p2wpkh(hash160(key))
    return made


def returning_to(psbt: Psbt, account: Any, branch: int, index: int) -> Psbt:
    place = (branch, index)
    return claimed(psbt, account.script(*place), account.key(*place), account.key_origin(*place))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_row_13_change_that_pays_somebody_else(
    ask: SimpleNamespace, refused: Refused, account: Any, scheme: Scheme
) -> None:
    ours, psbt = account(scheme), ask.one(scheme)
    theirs = ask.stranger(scheme).account
    key, origin = ours.key(1, 3), ours.key_origin(1, 3)
    refused(claimed(psbt, theirs.script(1, 3), key, origin), "change", account=ours)
    # the key swapped along with the script: only deriving it anew tells
    refused(claimed(psbt, theirs.script(1, 3), theirs.key(1, 3), origin), "change", account=ours)
    refused(claimed(psbt, ours.script(1, 4), ours.key(1, 4), origin), "change", account=ours)


def test_row_13_no_policy_and_no_yes_lets_it_through(
    line: Any, ask: SimpleNamespace, account: Any, tmp_path: Any
) -> None:
    ours = account()
    theirs = ask.stranger().account.script(1, 3)
    file = tmp_path / "fraud.psbt"
    file.write_text(str(claimed(ask.one(), theirs, ours.key(1, 3), ours.key_origin(1, 3))))
    result = line.run("psbt", "sign", str(file), "--account", "savings", "--yes")
    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.code == "input.psbt.change"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_row_14_our_key_with_another_origin_is_never_hidden(
    ask: SimpleNamespace, account: Any, signer: Any, scheme: Scheme
) -> None:
    ours = account(scheme)
    key, path = ours.key(1, 3), ours.key_origin(1, 3).path
    for origin in (
        KeyOrigin.from_text(f"deadbeef{path.suffix()}"),
        KeyOrigin.from_text(f"00000000{path.suffix()}"),
        KeyOrigin(ours.origin.fingerprint, DerivationPath.from_text("m/0/3")),
        KeyOrigin(ours.origin.fingerprint, DerivationPath()),
    ):
        psbt = claimed(ask.one(scheme), ours.script(1, 3), key, origin)
        shown = review_of(psbt, ours, "savings")
        assert shown.change == ()
        assert shown.payments[1].to == str(ours.address(1, 3))
        assert change_outputs(request_signatures(signer, psbt, account=ours), ours) == ()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_row_15_change_held_to_ransom_by_its_index(
    ask: SimpleNamespace, refused: Refused, account: Any, scheme: Scheme
) -> None:
    ours, psbt = account(scheme), ask.one(scheme)
    for index in (100_001, 1_000_001, 2**31 - 1):
        message = refused(returning_to(psbt, ours, 1, index), "change", account=ours)
        assert "no wallet would find the money again" in message
    assert change_outputs(returning_to(psbt, ours, 1, 100_000), ours) == (1,)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_row_16_change_is_the_second_branch_of_the_paying_account(
    ask: SimpleNamespace, account: Any, scheme: Scheme
) -> None:
    ours, psbt = account(scheme), ask.one(scheme)
    assert len(review_of(returning_to(psbt, ours, 1, 7), ours, "savings").change) == 1
    other = next(one for one in SCHEMES if one is not scheme)
    for elsewhere, branch in ((ours, 0), (ours, 2), (ours, 7), (account(scheme, 1), 1), (account(other), 1)):
        shown = review_of(returning_to(psbt, elsewhere, branch, 7), ours, "savings")
        assert shown.change == ()
        assert [one.to for one in shown.payments][1] == str(
            Address.from_script(elsewhere.script(branch, 7), ours.network)
        )


def test_row_17_every_change_output_is_told(ask: SimpleNamespace, account: Any, signer: Any) -> None:
    """Devices hide two or ten; the review hides none."""
    ours, psbt = account(), ask.one()
    places = [(1, index) for index in range(12)]
    outputs = [psbt.tx.outputs[0], *(TxOut(Sats(1_000), ours.script(*place)) for place in places)]
    made = Psbt(Transaction(2, psbt.tx.inputs, outputs, 0))
    made.inputs[0].fields.update(psbt.inputs[0].fields)
    for number, place in enumerate(places, 1):
        made.outputs[number].bip32_derivations[ours.key(*place)] = ours.key_origin(*place)
    from bursar.policy.render import review_text

    many = replace(review_of(made, ours, "savings"), warnings=())
    assert len(many.change) == 12
    text = review_text(many)
    assert all(str(ours.address(*place)) in text for place in places)


MISMATCHED = [
    ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(1,@A,@B,@C))"),
    ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(3,@A,@B,@C))"),
    ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(2,@A,@B,@X))"),
    ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(2,@A,@B))"),
    ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(2,@A,@B,@C,@X))"),
    ("wsh(multi(2,@A,@B,@C))", "wsh(multi(2,@B,@A,@C))"),
    ("wsh(sortedmulti(2,@A,@B,@C))", "sh(wsh(sortedmulti(2,@A,@B,@C)))"),
    ("sh(wsh(sortedmulti(2,@A,@B,@C)))", "sh(sortedmulti(2,@A,@B,@C))"),
    ("wsh(or_d(pk(@A),and_v(v:pk(@B),older(100))))", "wsh(or_d(pk(@A),and_v(v:pk(@B),older(10))))"),
    ("tr(@C,{pk(@A),pk(@B)})", "tr(@C,{pk(@A),pk(@X)})"),
]


@pytest.mark.parametrize(("ours", "theirs"), MISMATCHED)
def test_row_18_change_of_several_keys_on_other_terms(ours: str, theirs: str, party: Any, refused: Refused) -> None:
    account = party.account(ours)
    right = party.question(account)
    assert change_outputs(right, account) == (1,)
    wrong = party.question(account, change=party.account(theirs))
    refused(wrong, "change", by=party.signers["A"], account=account)


def test_row_19_change_in_which_one_cosigner_stands_for_two(party: Any, refused: Refused) -> None:
    account = party.account("wsh(multi(2,@A,@B,@C))")
    psbt = party.question(account)
    keys = list(account.spending(1, 3).origins)
    for listed in ((0, 0, 1), (0, 0, 0), (0, 1, 1)):
        script = b"\x52" + b"".join(b"\x21" + keys[place] for place in listed) + b"\x53\xae"
        outputs = (psbt.tx.outputs[0], TxOut(psbt.tx.outputs[1].value, p2wsh(sha256(script))))
        made = Psbt(Transaction(2, psbt.tx.inputs, outputs, 0))
        for new, old in zip((*made.inputs, *made.outputs), (*psbt.inputs, *psbt.outputs), strict=True):
            new.fields.update(old.fields)
        made.outputs[1].witness_script = script
        for place in {0, 1, 2}.difference(listed):
            del made.outputs[1].bip32_derivations[keys[place]]
        refused(made, "change", by=party.signers["A"], account=account)
    replaced = party.question(account, change=party.account("wsh(multi(2,@A,@B,@X))"))
    refused(replaced, "change", by=party.signers["B"], account=account)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_row_20_an_address_is_derived_twice_and_compared(account: Any, signer: Any, scheme: Scheme) -> None:
    """Ours, and the device's own screen: the second is compared by script, never trusted as text."""
    ours = account(scheme)
    right = str(ours.address(0, 5))
    asked: list[tuple[int, int]] = []

    def device(shown: Any) -> Any:
        def display(_account: Any, branch: int, index: int) -> Any:
            asked.append((branch, index))
            return shown

        return SimpleNamespace(info=signer.info, xpub=signer.xpub, close=lambda: None, display_address=display)

    assert str(confirm_address(device(right), ours, 5)) == right
    for wrong in (str(ours.address(0, 6)), str(ours.address(1, 5)), right[:-1], right[::-1], "", None, 7):
        with pytest.raises(SignerMisbehavedError):
            confirm_address(device(wrong), ours, 5)
    assert set(asked) == {(0, 5)}


def test_row_20_an_address_of_another_wallet_is_not_even_shown(account: Any, signer: Any, party: Any) -> None:
    def display(*_place: Any) -> str:
        raise AssertionError("the device was asked to show an address of keys it does not have")

    stranger = SimpleNamespace(info=party.signers["X"].info, xpub=signer.xpub, display_address=display)
    with pytest.raises(InvalidInputError) as caught:
        confirm_address(stranger, account(), 5)
    assert caught.value.code == "input.signer.other"


def wrong_texts() -> dict[str, str]:
    key = public_key(b"\x01" * 32)
    program, taproot = hash160(key), key[1:]
    ours = bech32.encode("bcrt", 0, program)
    main = bech32.encode("bc", 0, program)
    return {
        "main network": main,
        "test network": bech32.encode("tb", 0, program),
        "signet by its name": bech32.encode("sb", 0, program),
        "mixed case": ours[:12] + ours[12:].upper(),
        "one character lost": ours[:-1],
        "one character more": ours + "q",
        "no prefix": ours.partition("1")[2],
        "cut in the middle": ours[:20] + ours[24:],
        "two characters swapped": ours[:10] + ours[11] + ours[10] + ours[12:],
        "cut by dots": ours[:8] + "…" + ours[-8:],
        "base58 of the main network": str(Address.from_script(b"\xa9\x14" + program + b"\x87", Network.MAIN)),
        "version 0 by bech32m": recoded("bcrt", 0, program, constant=0x2BC830A3),
        "version 1 by bech32": recoded("bcrt", 1, taproot, constant=1),
        "version 17": recoded("bcrt", 17, taproot, constant=0x2BC830A3),
        "19 bytes of version 0": recoded("bcrt", 0, program[:19], constant=1),
        "41 bytes": recoded("bcrt", 1, taproot + bytes(9), constant=0x2BC830A3),
    }


def recoded(hrp: str, version: int, program: bytes, *, constant: int) -> str:
    """Bech32 text of anything, right or wrong (BIP-173, BIP-350)."""
    size = (8 * len(program) + 4) // 5
    bits = int.from_bytes(program, "big") << (size * 5 - 8 * len(program))
    data = [version, *((bits >> 5 * (size - 1 - place)) & 31 for place in range(size))]
    check = 1
    for value in (*(ord(one) >> 5 for one in hrp), 0, *(ord(one) & 31 for one in hrp), *data, *([0] * 6)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> place & 1 else 0
    check ^= constant
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    return f"{hrp}1" + "".join(letters[one] for one in (*data, *(check >> 5 * (5 - at) & 31 for at in range(6))))


def test_row_21_23_recipients_of_another_network_or_damaged(funded: Any) -> None:
    """At the wallet's door: nothing is planned, nothing reserved."""
    wallet, node = funded.wallet, funded.node
    for what, text in wrong_texts().items():
        with pytest.raises(InvalidInputError):
            raise AssertionError(
                f"{what}: {wallet.plan(Transfer(account='btc', payments=(PaymentOrder(text, 50_000, 'BTC'),)), node)}"
            )
    assert not wallet.transfers("btc")
    assert wallet.balance("btc")[0].reserved == 0


def test_row_21_23_each_encoding_above_is_wrong_in_one_thing_only() -> None:
    key = public_key(b"\x01" * 32)
    for version, program, constant in ((0, hash160(key), 1), (1, key[1:], 0x2BC830A3)):
        right = bech32.encode("bcrt", version, program)
        assert recoded("bcrt", version, program, constant=constant) == right
        assert str(Address.from_text(right, Network.REGTEST)) == right
    assert {what for what, text in wrong_texts().items() if not text} == set()


def test_row_21_23_on_the_command_line(line: Any) -> None:
    for text in wrong_texts().values():
        result = line.run("send", "savings", text, "0.001btc", "--yes")
        assert isinstance(result.exception, InvalidInputError), (text, result.exception)


def test_row_22_what_is_signed_is_what_was_approved(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt]
) -> None:
    psbt = ask.one(change=None)
    approved = psbt.tx.txid
    one, two = psbt.tx.outputs
    for changed in (
        rebuilt(psbt, outputs=[two, one]),
        rebuilt(psbt, outputs=[TxOut(Sats(one.value + 1), one.script), two]),
        rebuilt(psbt, outputs=[TxOut(one.value, p2wpkh(bytes(20))), two]),
        rebuilt(psbt, locktime=7),
        rebuilt(psbt, version=1),
    ):
        assert "approve it again" in refused(changed, "changed", approved=approved)


def test_row_22_the_wallet_signs_the_plan_it_approved_and_no_other(funded: Any, policy: Any, fakes: Any) -> None:
    wallet, node = funded.wallet, funded.node
    signer = fakes.Signer()
    payee = str(funded.account.address(0, 40))
    plan = wallet.plan(Transfer(account="btc", payments=(PaymentOrder(payee, 200_000, "BTC"),)), node)
    approved = wallet.approve(plan, policy)
    for change in (
        {"psbt": wallet.plan(Transfer(account="btc", payments=(PaymentOrder(payee, 1_000, "BTC"),)), node).psbt},
        {"review": replace(plan.review, fee=1)},
        {"review": replace(plan.review, payments=(replace(plan.review.payments[0], amount=1),))},
    ):
        with pytest.raises((ConflictError, InvalidInputError)):
            wallet.sign(replace(approved, plan=replace(plan, **change)), signer=signer)
    assert signer.asked == []

    def swap(answer: Psbt) -> Psbt:
        outputs = (TxOut(answer.tx.outputs[0].value, p2wpkh(bytes(20))), *answer.tx.outputs[1:])
        return Psbt(Transaction(2, answer.tx.inputs, outputs, answer.tx.locktime))

    signer.tamper = swap
    with pytest.raises(SignerMisbehavedError):
        wallet.sign(approved, signer=signer)
    signer.close()
    assert wallet.transfer(plan.id).raw is None
