"""Payments out of the money of others, which a transaction of ours makes: told apart, and no cost of ours."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from eth_abi import encode as abi_encode

from bursar.ethereum.address import Address
from bursar.policy.render import review_text
from bursar.wallet import Plan, Transfer
from bursar.wallet.actions import ContractCall
from bursar.wallet.canonical import canonical_json

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_money_of_others_is_told_apart_and_is_no_cost_of_ours(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    """Tokens moved out of another account by an allowance: paid by the call, and not by this account."""
    other = Address(b"\x42" * 20)
    rich.node.codes[rich.token] = b"\x60"
    moved = bytes.fromhex("23b872dd") + abi_encode(["address", "address", "uint256"], [str(other), PAYEE, 7])
    plan = rich.wallet.plan(Transfer("eth", action=ContractCall(rich.token, moved)), rich.node)
    (paid,) = plan.review.payments
    assert (paid.to, paid.amount, paid.owner) == (PAYEE, 7, str(other))
    assert Plan.from_json(json.loads(canonical_json(plan.to_json()))) == plan
    text = review_text(plan.review)
    assert f"out of {other}, not of this account" in text
    assert "0.000007 TST and" not in text
    signed = rich.wallet.sign(rich.wallet.approve(plan, policy), signer=signer)
    rich.wallet.send(signed, rich.node)
    (row,) = [one for one in rich.wallet.history("eth") if one.txid == signed.txid]
    assert (row.amount, row.asset.symbol, row.direction) == (0, "ETH", "self")
