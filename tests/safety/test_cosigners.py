"""Attacks on a wallet of several signers: what cosigners hand in, and what happens to the store meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key
from bursar.errors import BursarError, ConflictError, CorruptStoreError, InvalidInputError, SignerMisbehavedError
from bursar.wallet import PaymentOrder, Transfer, TransferState
from bursar.wallet.wallet import Wallet

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture
def vault(wallet: Any, bitcoin: Any, party: Any, policy: Any) -> SimpleNamespace:
    account = party.account("wsh(sortedmulti(2,@A,@B,@C))")
    wallet.add_account("vault", account)
    for index in range(4):
        bitcoin.pay(account.script(0, index), 1_000_000)
    bitcoin.mine()
    wallet.sync("vault", bitcoin)

    def plan(amount: int) -> Any:
        made = wallet.plan(Transfer(account="vault", payments=(PaymentOrder(PAYEE, amount, "BTC"),)), bitcoin)
        wallet.approve(made, policy)
        return made

    return SimpleNamespace(
        wallet=wallet, node=bitcoin, account=account, plan=plan, policy=policy, signers=party.signers
    )


def redirected(psbt: Psbt) -> Psbt:
    """The same coins, paid to somebody else."""
    outputs = (TxOut(psbt.tx.outputs[0].value, b"\x00\x14" + bytes(20)), *psbt.tx.outputs[1:])
    made = Psbt(Transaction(psbt.tx.version, psbt.tx.inputs, outputs, psbt.tx.locktime))
    for new, old in zip((*made.inputs, *made.outputs), (*psbt.inputs, *psbt.outputs), strict=True):
        new.fields.update(old.fields)
    return made


def test_what_a_cosigner_may_not_hand_in(vault: SimpleNamespace) -> None:
    wallet, a, b = vault.wallet, vault.signers["A"], vault.signers["B"]
    plan, other = vault.plan(300_000), vault.plan(200_000)
    paper = wallet.export_psbt(plan.id)
    good = a.sign_psbt(paper.copy())
    elsewhere = a.sign_psbt(redirected(paper))
    both = b.sign_psbt(good.copy())
    (one, first), (two, second) = both.inputs[0].partial_sigs.items()

    def with_signatures(*pairs: tuple[bytes, bytes]) -> Psbt:
        made = paper.copy()
        for key, value in pairs:
            made.inputs[0].partial_sigs[key] = value
        return made

    foreign = public_key(b"\x05" * 32)
    digest = InputDigests(paper).digest(0).digest
    final = paper.copy()
    for item in final.inputs:
        item.final_witness = (b"", b"\x30" * 71, b"\x30" * 71, item.witness_script or b"")
    for wrong in (
        a.sign_psbt(wallet.export_psbt(other.id)),  # replayed from another transfer
        elsewhere,
        with_signatures(*elsewhere.inputs[0].partial_sigs.items()),  # made for other outputs, in our frame
        with_signatures((one, second), (two, first)),
        with_signatures((one, first), (two, first)),  # a good one along with a bad one
        with_signatures((one, first[:-1] + b"\x81")),
        with_signatures((foreign, ecdsa_sign_der(b"\x05" * 32, digest) + b"\x01")),
        final,
        paper,
    ):
        with pytest.raises((SignerMisbehavedError, InvalidInputError)):
            wallet.import_signatures(plan.id, wrong, policy=vault.policy)
        assert wallet.signing_progress(plan.id).count == 0
    assert wallet.import_signatures(plan.id, good.to_version(2), policy=vault.policy).count == 1
    with pytest.raises(InvalidInputError):
        wallet.import_signatures(plan.id, good, policy=vault.policy)
    assert wallet.import_signatures(plan.id, both, policy=vault.policy).complete
    wallet.journal.verify()


def test_a_transfer_given_up_while_somebody_signs_it_is_not_completed(vault: SimpleNamespace) -> None:
    wallet, plan = vault.wallet, vault.plan(300_000)
    said = []

    class Slow:
        info = vault.signers["A"].info
        xpub = vault.signers["A"].xpub

        def close(self) -> None: ...

        def sign_psbt(self, psbt: Psbt) -> Psbt:
            with Wallet.open(wallet._context.store.path) as other:
                for give_up in (other.cancel, lambda one: other.unsafe_cancel(one, reason="lost")):
                    try:
                        said.append(give_up(plan.id).state)
                    except BursarError as error:
                        said.append(error.code)
            return vault.signers["A"].sign_psbt(psbt)

    with pytest.raises(ConflictError):
        wallet.add_signatures(plan.id, signer=Slow(), policy=vault.policy)
    assert said == ["conflict", TransferState.CANCELLED]
    for late in (
        lambda: wallet.add_signatures(plan.id, signer=vault.signers["B"], policy=vault.policy),
        lambda: wallet.import_signatures(plan.id, vault.signers["B"].sign_psbt(Psbt.from_text(plan.psbt))),
        lambda: wallet.export_psbt(plan.id),
    ):
        with pytest.raises(ConflictError):
            late()
    wallet.journal.verify()


@pytest.mark.parametrize("damage", ["flipped", "garbage", "another transaction"])
def test_signatures_changed_in_the_store_complete_nothing(vault: SimpleNamespace, damage: str) -> None:
    """A bad disk, or whoever can write the file: the transfer stays as it was, and nothing invalid is called signed."""
    wallet, plan = vault.wallet, vault.plan(300_000)
    wallet.add_signatures(plan.id, signer=vault.signers["A"], policy=vault.policy)
    path = wallet._context.store.path
    with closing(sqlite3.connect(path)) as store:
        for (name,) in store.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            store.execute(f"drop trigger {name}")
        kept = Psbt.from_text(store.execute("select psbt from signatures").fetchone()[0])
        for one in kept.inputs:
            for key, value in list(one.partial_sigs.items()):
                one.fields[b"\x02" + key] = value[:20] + bytes((value[20] ^ 1,)) + value[21:]
        text = {"flipped": str(kept), "garbage": "garbage", "another transaction": str(redirected(kept))}[damage]
        store.execute("update signatures set psbt = ?", (text,))
        store.commit()
    with pytest.raises(CorruptStoreError) as caught:
        wallet.add_signatures(plan.id, signer=vault.signers["B"], policy=vault.policy)
    assert plan.id in caught.value.message
    assert wallet.transfer(plan.id).state is TransferState.APPROVED
    assert wallet.transfer(plan.id).raw is None


def test_a_psbt_from_outside_whose_change_nobody_would_find_is_not_signed_for_several(
    line: Any, party: Any, tmp_path: Any
) -> None:
    account = party.account("wsh(sortedmulti(2,@A,@B,@C))")
    line.text("account", "add", "board", "--descriptor", party.text("wsh(sortedmulti(2,@A,@B,@C))"))
    file = tmp_path / "from outside.psbt"
    file.write_text(str(party.question(account, index=200_000)))
    for words in (("--account", "board"), ()):
        result = line.run("psbt", "sign", str(file), "--yes", *words)
        assert isinstance(result.exception, InvalidInputError)
        assert result.exception.code == "input.psbt.change"
        assert result.stdout == ""
