"""Calls, NFTs, allowances and delegations; chains as data; accounts of every scheme; names and payment requests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi import decode as abi_decode
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.software.key_signer import KeySigner
from bursar.chain.ethereum_chains import EthereumChains
from bursar.chain.l1_data_fee import l1_fee_question
from bursar.crypto.sealed import Scrypt
from bursar.crypto.secret import Secret
from bursar.errors import (
    BursarError,
    ConflictError,
    InsufficientFundsError,
    InvalidInputError,
    PolicyDeniedError,
    WrongChainError,
)
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.path_scheme import EthereumScheme
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.keys.origin import KeyOrigin
from bursar.policy.policy import RulePolicy
from bursar.wallet import FeeChoice, PaymentOrder, Plan, Transfer, TransferState
from bursar.wallet.actions import ContractCall, Delegate, FillNonce, NftTransfer, SetAllowance, action_from_json
from bursar.wallet.backup import gather, open_backup, restore, restore_drill, seal_backup
from bursar.wallet.canonical import canonical_json
from bursar.wallet.ethereum_questions import _OWNER_OF
from bursar.wallet.wallet import Wallet

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
SPENDER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
NFT = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
ETHER = 10**18
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")


def act(action: Any, **more: Any) -> Transfer:
    return Transfer(account="eth", action=action, **more)


def unsigned(plan: Plan) -> UnsignedTransaction:
    return UnsignedTransaction.parse(bytes.fromhex(str(plan.unsigned)))


def go(rich: SimpleNamespace, policy: Any, signer: Any, plan: Plan) -> SignedTransaction:
    signed = rich.wallet.sign(rich.wallet.approve(plan, policy), signer=signer)
    rich.wallet.send(signed, rich.node)
    return SignedTransaction.parse(signed.raw)


def codes(plan: Plan) -> set[str]:
    return {one.code for one in plan.review.warnings}


def rules(*more: str) -> RulePolicy:
    return RulePolicy.from_toml("version = 1\n" + "".join(f"[[rule]]\n{one}\n" for one in more))


def test_a_call_nobody_can_read_needs_a_rule_that_names_the_contract(rich: SimpleNamespace, signer: Any) -> None:
    rich.node.codes[SPENDER] = b"\x60"
    call = ContractCall(SPENDER, bytes.fromhex("deadbeef") + bytes(32), 1000)
    plan = rich.wallet.plan(act(call), rich.node)
    tx = unsigned(plan)
    assert (str(tx.to), tx.value, tx.data, tx.gas_limit) == (SPENDER, 1000, call.data, 72_000)
    assert "opaque-call" in codes(plan)
    assert [(one.to, one.amount) for one in plan.review.payments] == [(SPENDER, 1000)]
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(plan, rules('name = "a"\nkind = "allow-any"'))
    free = rich.wallet.plan(act(ContractCall(SPENDER, call.data)), rich.node)
    assert [(one.to, one.amount) for one in free.review.payments] == [(SPENDER, 0)]
    named = rules('name = "a"\nkind = "allow-any"', f'name = "b"\nkind = "allow-calls"\ncontracts = ["{SPENDER}"]')
    signed = go(rich, named, signer, free)
    assert Account.recover_transaction(signed.serialize()) == str(rich.account.address(0))


def test_what_is_called_without_code_is_told(rich: SimpleNamespace) -> None:
    assert "no-contract" in codes(rich.wallet.plan(act(ContractCall(SPENDER, b"\x01\x02\x03\x04")), rich.node))
    plan = rich.wallet.plan(act(ContractCall(None, b"\x60\x00", gas_limit=100_000)), rich.node)
    assert unsigned(plan).to is None
    assert "creation" in codes(plan)
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(plan, rules('name = "a"\nkind = "allow-any"'))


def test_nfts_go_by_the_standards_own_words(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    node, sender = rich.node, str(rich.account.address(0))
    node.codes[NFT] = b"\x60"
    with pytest.raises(InvalidInputError, match="has token 42"):
        rich.wallet.plan(act(NftTransfer(NFT, 42, PAYEE)), node)
    node.answers[NFT, _OWNER_OF.encode_call(42)] = bytes(12) + Address.from_text(sender).value
    plan = rich.wallet.plan(act(NftTransfer(NFT, 42, PAYEE)), node)
    tx = unsigned(plan)
    assert (str(tx.to), tx.value, tx.data[:4].hex()) == (NFT, 0, "42842e0e")  # safeTransferFrom, ERC-721's interface
    assert abi_decode(["address", "address", "uint256"], tx.data[4:]) == (sender.lower(), PAYEE.lower(), 42)
    assert [(one.to, one.amount, one.token_id) for one in plan.review.payments] == [(PAYEE, 1, 42)]
    listed = rules(f'name = "a"\nkind = "allow-list"\naddresses = ["{SPENDER}"]')
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(plan, listed)
    many = NftTransfer(NFT, 7, PAYEE, 5, "erc1155")
    pinned = rich.wallet.plan(act(many, source=sender), node)
    tx = unsigned(pinned)
    assert tx.data[:4].hex() == "f242432a"
    types = ["address", "address", "uint256", "uint256", "bytes"]
    assert abi_decode(types, tx.data[4:]) == (sender.lower(), PAYEE.lower(), 7, 5, b"")
    assert [(one.to, one.amount, one.token_id) for one in pinned.review.payments] == [(PAYEE, 5, 7)]
    go(rich, policy, signer, pinned)


def test_an_allowance_counts_like_a_payment(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node, sender = rich.wallet, rich.node, str(rich.account.address(0))
    node.codes[SPENDER] = b"\x60"
    plan = wallet.plan(act(SetAllowance("TST", SPENDER, 30 * 10**6)), node)
    assert unsigned(plan).data[:4].hex() == "095ea7b3"
    assert plan.review.payments == ()
    (granted,) = plan.review.allowances
    assert (granted.spender, granted.amount, granted.asset.symbol, granted.unlimited) == (
        SPENDER,
        30 * 10**6,
        "TST",
        False,
    )
    any_one = 'name = "a"\nkind = "allow-any"'
    with pytest.raises(PolicyDeniedError):
        wallet.approve(
            plan,
            RulePolicy.from_toml(
                f'version = 1\n[[token]]\nsymbol = "TST"\nnetwork = "eip155:31337"\ncontract = "{rich.token}"\n'
                f'decimals = 6\n[[rule]]\n{any_one}\n[[rule]]\nname = "b"\nkind = "limit"\nmax = "29 TST"\n'
            ),
        )
    plan = wallet.plan(act(SetAllowance("TST", SPENDER, 30 * 10**6)), node)
    go(rich, policy, signer, plan)
    assert wallet.policy_history().spent(granted.asset, timedelta(days=1)) == 30 * 10**6
    assert wallet.balance("eth")[1].spendable == 500 * 10**6  # nothing has left
    node.mine()
    wallet.sync("eth", node)
    assert node.allowances[rich.token, sender, SPENDER] == 30 * 10**6
    with pytest.raises(InvalidInputError, match="set the allowance to 0 first") as caught:
        wallet.plan(act(SetAllowance("TST", SPENDER, 1)), node)
    assert caught.value.code == "input.allowance"
    go(rich, policy, signer, wallet.plan(act(SetAllowance("TST", SPENDER, 0)), node))
    node.mine()
    wallet.sync("eth", node)
    assert node.allowances[rich.token, sender, SPENDER] == 0
    assert "first-payment" in codes(wallet.plan(Transfer("eth", (PaymentOrder(SPENDER, 1000, "ETH"),)), node)), (
        "who was allowed to take something was not paid"
    )


def test_unlimited_allowances_are_refused_unless_meant(rich: SimpleNamespace) -> None:
    for amount in ((1 << 256) - 1, 1 << 255, (1 << 96) - 1):
        with pytest.raises(InvalidInputError) as caught:
            SetAllowance("TST", SPENDER, amount)
        assert caught.value.code == "input.allowance"
    plan = rich.wallet.plan(act(SetAllowance("TST", SPENDER, (1 << 256) - 1, unlimited=True)), rich.node)
    assert plan.review.allowances[0].unlimited
    assert "allowance-to-account" in codes(plan)
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(plan, rules('name = "a"\nkind = "allow-any"'))
    with pytest.raises(InvalidInputError, match="no token"):
        rich.wallet.plan(act(SetAllowance("ETH", SPENDER, 1)), rich.node)


def test_delegations_need_a_rule_and_those_for_every_chain_one_of_their_own(rich: SimpleNamespace, signer: Any) -> None:
    key = KeySigner(Secret(KEY))
    fine, wild = (Authorization(chain, Address.from_text(SPENDER), 0, any_chain=chain == 0) for chain in (31337, 0))
    signed = {one.chain_id: one.sign_with(key.sign_authorization(_root(), one)) for one in (fine, wild)}
    any_one = 'name = "a"\nkind = "allow-any"'
    plan = rich.wallet.plan(act(Delegate((signed[31337],))), rich.node)
    tx = unsigned(plan)
    assert (tx.type, tx.to, tx.value, tx.authorization_list) == (4, Address(bytes(20)), 0, (signed[31337],))
    assert [(one.delegate, one.any_chain) for one in plan.review.delegations] == [(SPENDER, False)]
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(plan, rules(any_one))
    wide = rich.wallet.plan(act(Delegate((signed[0],))), rich.node)
    assert wide.review.delegations[0].any_chain
    narrow = rules(any_one, f'name = "b"\nkind = "allow-delegations"\ndelegates = ["{SPENDER}"]')
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(wide, narrow)
    again = rich.wallet.plan(act(Delegate((signed[31337],))), rich.node)
    made = rich.wallet.sign(rich.wallet.approve(again, narrow), signer=signer)
    assert Account.recover_transaction(made.raw) == str(rich.account.address(0))
    key.close()


def _root() -> Any:
    from bursar.keys.path import DerivationPath

    return DerivationPath(())


ACTIONS = st.one_of(
    st.builds(
        ContractCall,
        st.just(PAYEE),
        st.binary(max_size=20),
        st.integers(0, (1 << 256) - 1),
        st.none() | st.integers(0, (1 << 64) - 1),
    ),
    st.builds(NftTransfer, st.just(NFT), st.integers(0, (1 << 256) - 1), st.just(PAYEE)),
    st.builds(SetAllowance, st.just("TST"), st.just(PAYEE), st.integers(0, 1 << 200), st.just(True)),
    st.builds(FillNonce, st.integers(0, (1 << 64) - 2)),
)
JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=3), max_size=2)


@settings(max_examples=40)
@given(ACTIONS, st.data())
def test_actions_come_back_and_damage_is_a_typed_error(action: Any, data: st.DataObject) -> None:
    transfer = act(action)
    record = json.loads(canonical_json(transfer.to_json()))
    assert Transfer.from_json(record) == transfer
    body = record["action"]
    body[data.draw(st.sampled_from(sorted(body)))] = data.draw(JSON)
    with contextlib.suppress(InvalidInputError):
        Transfer.from_json(record)
    with pytest.raises(InvalidInputError):
        action_from_json(data.draw(JSON.filter(lambda one: one is not None)))


def test_a_transfer_has_payments_or_an_action() -> None:
    order = PaymentOrder(PAYEE, 1, "ETH")
    for bad in (
        {"payments": (order,), "action": FillNonce(1)},
        {},
        {"action": FillNonce(1), "everything": True},
        {"action": "transfer"},
    ):
        with pytest.raises(InvalidInputError):
            Transfer(account="eth", **bad)
    plain = Transfer(account="eth", payments=(order,))
    assert "action" not in plain.to_json()
    assert "name" not in plain.to_json()["payments"][0]


# chains as data


@pytest.fixture
def on_chain(fakes: SimpleNamespace, tmp_path: Path) -> Iterator[Callable[..., SimpleNamespace]]:
    """``on_chain(chain_id, ether)``: a wallet with an account on that chain, and its node."""
    with contextlib.ExitStack() as stack:

        def made(chain_id: int, ether: int = ETHER) -> SimpleNamespace:
            node, account = fakes.Ethereum(chain_id), fakes.ethereum_account(chain_id)
            node.balances[str(account.address(0))] = ether
            wallet = stack.enter_context(Wallet.open(tmp_path / f"{chain_id}.db", create=True))
            wallet.add_account("eth", account, signer="test")
            return SimpleNamespace(wallet=wallet, node=node, account=account)

        yield made


def test_amounts_are_in_the_chains_coin(on_chain: Callable[..., SimpleNamespace]) -> None:
    for chain_id, symbol in ((137, "POL"), (56, "BNB")):
        house = on_chain(chain_id)
        house.wallet.sync("eth", house.node)
        assert house.wallet.balance("eth")[0].asset.symbol == symbol
        assert {row.asset.symbol for row in house.wallet.history("eth")} <= {symbol}
        plan = house.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 1000, symbol),)), house.node)
        assert plan.review.fee_asset.symbol == symbol
        with pytest.raises(InvalidInputError):  # somebody else's coin is not taken for this chain's
            house.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 1000, "ETH"),)), house.node)
        with pytest.raises(InsufficientFundsError, match=symbol):
            house.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 5 * ETHER, symbol),)), house.node)
        house.wallet.close()


def test_the_data_fee_of_an_op_stack_chain_is_asked_and_held(
    on_chain: Callable[..., SimpleNamespace], policy: Any, signer: Any
) -> None:
    house = on_chain(10)
    oracle = str(EthereumChains.built_in().chain(10).l1_oracle)
    asked: list[bytes] = []
    inner = house.node.call

    def call(to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        if str(to) == oracle:
            asked.append(data)
            return (3 * 10**12).to_bytes(32, "big")
        answer: bytes = inner(to, data, sender=sender)
        return answer

    house.node.call = call
    plan = house.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 1000, "ETH"),)), house.node)
    gas = 21_000 * int(unsigned(plan).max_fee_per_gas or 0)
    assert plan.review.max_fee == gas + 6 * 10**12
    assert plan.review.fee == 21_000 * 1_200_000_000 + 3 * 10**12
    assert plan.review.extra["data fee"] == "0.000003 ETH"
    assert asked == [l1_fee_question(unsigned(plan))]
    everything = Transfer("eth", (PaymentOrder(PAYEE, 0, "ETH"),), everything=True)
    swept = house.wallet.plan(everything, house.node, dry_run=True)
    assert swept.review.payments[0].amount == ETHER - plan.review.max_fee - 1000 - swept.review.max_fee
    house.wallet.close()


# accounts


def test_every_scheme_is_an_account_and_no_address_is_in_two(
    wallet: Wallet, ethereum: Any, signer: Any, policy: Any
) -> None:
    def account(scheme: EthereumScheme, number: int) -> EthereumAccount:
        path = scheme.account_path(number)
        return EthereumAccount(31337, KeyOrigin(signer.info.fingerprint, path), signer.xpub(path), scheme)

    made = {
        "bip44": account(EthereumScheme.BIP44, 0),
        "legacy": account(EthereumScheme.LEGACY, 0),
        "live-1": account(EthereumScheme.LEDGER_LIVE, 1),
    }
    for name, one in made.items():
        record = wallet.add_account(name, one, signer="test")
        assert record.account == one
        ethereum.balances[str(one.address(0))] = ETHER
        wallet.sync(name, ethereum)
        plan = wallet.plan(Transfer(name, (PaymentOrder(PAYEE, 1000, "ETH"),)), ethereum)
        assert plan.path == str(EthereumScheme(one.scheme).place(1 if name == "live-1" else 0).path)
        signed = wallet.sign(wallet.approve(plan, policy), signer=signer)
        assert Account.recover_transaction(signed.raw) == str(one.address(0))
    for number in range(3):
        assert wallet.new_address("live-1").address == str(made["live-1"].address(0)), number
        assert wallet.new_address("legacy").index == number + 1
    twins = (account(EthereumScheme.LEDGER_LIVE, 0), AddressAccount(31337, made["legacy"].address(2)))
    for twin in twins:
        with pytest.raises(ConflictError, match="is here already"):
            wallet.add_account("twin", twin)
    wallet.add_account("elsewhere", AddressAccount(1, made["legacy"].address(2)))


def test_an_imported_key_pays_and_a_watched_address_is_only_watched(
    wallet: Wallet, ethereum: Any, policy: Any, signer: Any
) -> None:
    with KeySigner(Secret(KEY)) as key:
        one = AddressAccount(31337, key.address)
        ethereum.balances[str(key.address)] = ETHER
        assert wallet.add_account("imported", one, signer="key").account == one
        wallet.add_account("watched", AddressAccount(31337, Address.from_text(PAYEE)))
        for name in ("imported", "watched"):
            wallet.sync(name, ethereum)
        assert wallet.account("watched").signers == ()
        assert [item.path for item in wallet.addresses("imported")] in ([], ["m"])
        assert wallet.new_address("imported").address == str(key.address)
        plan = wallet.plan(Transfer("imported", (PaymentOrder(PAYEE, ETHER // 2, "ETH"),)), ethereum)
        approved = wallet.approve(plan, policy)
        with pytest.raises(BursarError):
            wallet.sign(approved, signer=signer)  # another key: its signature is not this sender's
        signed = wallet.sign(approved, signer=key)
        assert Account.recover_transaction(signed.raw) == str(key.address)
        wallet.send(signed, ethereum)
    ethereum.mine()
    for name in ("imported", "watched"):
        wallet.sync(name, ethereum)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    assert wallet.balance("watched")[0].confirmed == ETHER // 2


# names and payment requests


class Names:
    def __init__(self, **known: str) -> None:
        self.known = known

    def resolve(self, name: str, *, chain_id: int) -> Any:
        return SimpleNamespace(address=Address.from_text(self.known[name.partition(".")[0]]), chain_id=chain_id)


def test_a_name_that_changed_is_not_paid(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    order = PaymentOrder(PAYEE, 1000, "ETH", name="shop.example.eth")
    plan = rich.wallet.plan(Transfer("eth", (order,)), rich.node)
    assert plan.review.payments[0].label == "shop.example.eth"
    assert Plan.from_json(json.loads(canonical_json(plan.to_json()))) == plan
    approved = rich.wallet.approve(plan, policy)
    for names, code in ((None, "input.name-unchecked"), (Names(shop=SPENDER), "input.name-changed")):
        with pytest.raises(InvalidInputError) as caught:
            rich.wallet.sign(approved, signer=signer, names=names)
        assert caught.value.code == code
    assert signer.asked == []
    signed = rich.wallet.sign(approved, signer=signer, names=Names(shop=PAYEE))
    assert str(SignedTransaction.parse(signed.raw).unsigned.to) == PAYEE
    assert rich.wallet.sign(approved, signer=signer, names=Names(shop=SPENDER)) == signed  # the stored bytes


def test_payment_requests_become_transfers(rich: SimpleNamespace) -> None:
    wallet, names = rich.wallet, Names(shop=PAYEE)

    def read(text: str) -> Transfer:
        found: Transfer = wallet.read_payment_uri("eth", text, names=names)
        return found

    assert read(f"ethereum:{PAYEE}@31337?value=2.5e15").payments == (PaymentOrder(PAYEE, 25 * 10**14, "ETH"),)
    named = read("ethereum:shop.example.eth?value=1e15")
    assert named.payments == (PaymentOrder(PAYEE, 10**15, "ETH", "shop.example.eth"),)
    token = read(f"ethereum:{rich.token}/transfer?address={PAYEE}&uint256=1e6")
    assert token.payments == (PaymentOrder(PAYEE, 10**6, rich.token),)
    assert rich.wallet.plan(token, rich.node).review.payments[0].asset.symbol == "TST"
    call = read(f"ethereum:{SPENDER}/deposit?uint256=7&value=1e15")
    assert call.action == ContractCall(SPENDER, call.action.data, 10**15)
    assert abi_decode(["uint256"], call.action.data[4:]) == (7,)
    with pytest.raises(WrongChainError):
        read(f"ethereum:{PAYEE}@1?value=1e15")
    for bad in (
        f"ethereum:{PAYEE}",
        f"ethereum:{SPENDER}/transfer?address={PAYEE}&uint256=1e6",
        f"ethereum:{rich.token}/transfer?address={PAYEE}&uint256=1e6&value=1",
        f"ethereum:shop.example.eth/transfer?address={PAYEE}&uint256=1",
        f"ethereum:{SPENDER}/give?address=shop.example.eth",
    ):
        with pytest.raises(InvalidInputError):
            read(bad)
    with pytest.raises(InvalidInputError) as caught:
        wallet.read_payment_uri("eth", "ethereum:shop.example.eth?value=1e15")
    assert caught.value.code == "input.name-unchecked"


# many payments


def test_planning_asks_the_same_however_many_transfers_are_open(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = rich.wallet, rich.node
    asked: list[int] = []
    count = 0

    def counted(inner: Any) -> Any:
        def ask(*given: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            return inner(*given, **more)

        return ask

    for name in ("check_chain", "genesis_hash", "balance", "nonce", "fees", "call", "code", "receipt", "transaction"):
        setattr(node, name, counted(getattr(node, name)))
    for number in range(30):
        count = 0
        plan = wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 1000 + number, "TST"),)), node)
        asked.append(count)
        wallet.send(wallet.sign(wallet.approve(plan, policy), signer=signer), node)
    assert max(asked) == min(asked) <= 12
    node.mine()
    node.balances[str(rich.account.address(0))] -= 5 * ETHER  # spent elsewhere: what is left is what counts
    with pytest.raises(InsufficientFundsError):
        wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 5 * ETHER, "ETH"),)), node)
    assert all(one.state is TransferState.CONFIRMED for one in wallet.transfers("eth"))  # it looked once more


def test_a_data_fee_in_the_receipt_is_part_of_what_was_paid(
    on_chain: Callable[..., SimpleNamespace], policy: Any, signer: Any
) -> None:
    house = on_chain(8453)
    oracle, inner = str(EthereumChains.built_in().chain(8453).l1_oracle), house.node.call
    house.node.call = lambda to, data, sender=None: (
        (10**12).to_bytes(32, "big") if str(to) == oracle else inner(to, data, sender=sender)
    )
    plan = house.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 1000, "ETH"),)), house.node)
    go(house, policy, signer, plan)
    house.node.mine()
    told = house.node.receipt
    house.node.receipt = lambda txid: replace(told(txid), data_fee=10**12 + 5)
    house.node.balances[str(plan.sender)] -= 10**12 + 5
    house.wallet.sync("eth", house.node)
    assert house.wallet.transfer(plan.id).fee == plan.review.fee + 5
    assert [row for row in house.wallet.history("eth") if row.direction == "out" and row.transfer_id is None] == []
    house.wallet.close()


def test_gas_of_arbitrum_is_always_asked(on_chain: Callable[..., SimpleNamespace], policy: Any, signer: Any) -> None:
    house = on_chain(42161)
    house.node.gas = 50_000
    plan = house.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, 1000, "ETH"),)), house.node)
    assert unsigned(plan).gas_limit == 60_000  # data on the chain below is paid in gas
    go(house, policy, signer, plan)
    undo = house.wallet.bump(plan.id, house.node, fee=FeeChoice(), cancel=True)
    assert (unsigned(undo).gas_limit, undo.review.payments) == (60_000, ())
    house.wallet.close()


def test_a_bumped_allowance_is_weighed_like_the_first(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    rule = f'name = "b"\nkind = "allow-calls"\ncontracts = ["{rich.token}"]'
    named = rules('name = "a"\nkind = "allow-any"', rule)
    plan = rich.wallet.plan(act(SetAllowance("TST", SPENDER, 5)), rich.node)
    go(rich, named, signer, plan)
    bump = rich.wallet.bump(plan.id, rich.node, fee=FeeChoice())
    assert bump.review.allowances == plan.review.allowances
    assert "allowance-to-account" in codes(bump)
    assert bump.transfer.action == plan.transfer.action
    with pytest.raises(PolicyDeniedError):
        rich.wallet.approve(bump, policy)


def test_accounts_of_every_kind_are_backed_up_and_restored(wallet: Wallet, signer: Any, tmp_path: Path) -> None:
    path = EthereumScheme.LEGACY.account_path(0)
    origin = KeyOrigin(signer.info.fingerprint, path)
    held = {
        "legacy": EthereumAccount(31337, origin, signer.xpub(path), EthereumScheme.LEGACY),
        "live": EthereumAccount(1, origin, signer.xpub(path), EthereumScheme.LEDGER_LIVE),
        "one": AddressAccount(31337, Address.from_text(PAYEE)),
    }
    for name, account in held.items():
        wallet.add_account(name, account, signer="test")
    bundle = open_backup(
        seal_backup(gather(wallet), Secret.from_text("correct horse"), kdf=Scrypt(log_n=14)),
        Secret.from_text("correct horse"),
    )
    assert restore_drill(bundle, wallet=wallet).missing == ()
    with Wallet.open(tmp_path / "new.db", create=True) as other:
        assert restore(bundle, other).accounts == tuple(sorted(held))
        assert {one.name: one.account for one in other.accounts()} == held
        assert [one.address for one in other.addresses("one")] in ([], [PAYEE])
