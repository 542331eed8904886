"""A permit (EIP-2612): a signature that lets somebody take tokens, seen as an allowance first, then used on a chain."""

from __future__ import annotations

import time
from contextlib import closing

import bursar
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data_effects import typed_data_effects
from bursar.keys.mnemonic import generate

PERMIT = AbiFunction.from_text("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)")
TAKE = AbiFunction.from_text("transferFrom(address,address,uint256)")
NONCES = AbiFunction.from_text("nonces(address) returns (uint256)")
BALANCE = AbiFunction.from_text("balanceOf(address) returns (uint256)")
ALLOWANCE = AbiFunction.from_text("allowance(address,address) returns (uint256)")
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
FIELDS = [
    ("owner", "address"),
    ("spender", "address"),
    ("value", "uint256"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
]


def main() -> None:
    signer = bursar.SoftwareSigner.from_mnemonic(generate())
    master = signer.info.fingerprint
    assert master is not None  # a software signer always knows its own
    path = bursar.account_path(bursar.Scheme.BIP44, bursar.CoinType.ETHEREUM, 0)

    with (
        bursar.Sandbox(None) as sandbox,
        closing(bursar.EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)) as node,
        closing(signer),
    ):
        account = bursar.EthereumAccount(node.chain_id, bursar.KeyOrigin(master, path), signer.xpub(path))
        owner, shop = account.address(0), account.address(1)
        token = Address.from_text(sandbox.token.contract)
        known = {token: bursar.Token(node.chain_id, token, sandbox.token.symbol, sandbox.token.decimals)}
        sandbox.fund_token(str(owner), 100 * 10**sandbox.token.decimals)  # the owner of the tokens has no ether at all
        sandbox.fund_ether(str(shop), bursar.Wei.from_text("1eth"))

        def ask(function: AbiFunction, *arguments: object) -> int:
            (found,) = function.decode_result(node.call(token, function.encode_call(*arguments)))
            assert isinstance(found, int)
            return found

        amount, deadline = 12_500_000, int(time.time()) + 3600
        permit = bursar.TypedData.of(
            {"EIP712Domain": DOMAIN, "Permit": FIELDS},
            "Permit",
            {"name": "Sandbox Dollar", "version": "1", "chainId": node.chain_id, "verifyingContract": token},
            {
                "owner": owner,
                "spender": shop,
                "value": amount,
                "nonce": ask(NONCES, owner),
                "deadline": deadline,
            },
        )

        # what a human and a policy see is not "a message" but an allowance
        for given in typed_data_effects(permit).allowances:
            assert given.contract is not None
            print(given.spender, "may take", known[given.contract].format_amount(given.amount), "without asking again")
        signed = bursar.request_typed_data(signer, account.path(0), permit, sender=owner, chain_id=node.chain_id)
        assert signed.y_parity is not None
        r, s = signed.compact()[:32], signed.compact()[32:]

        # whoever holds the signature brings it to the chain and pays for that; then the tokens can be taken
        for call in (
            PERMIT.encode_call(owner, shop, amount, deadline, 27 + signed.y_parity, r, s),
            TAKE.encode_call(owner, shop, amount),
        ):
            quote = node.fees()
            fees = bursar.Eip1559Fees.from_quote(base_fee=quote.base_fee, priority_fee=quote.normal)
            tx = bursar.UnsignedTransaction(
                chain_id=node.chain_id,
                nonce=node.nonce(shop),
                to=token,
                value=bursar.Wei(0),
                data=call,
                gas_limit=120_000,
                max_fee_per_gas=fees.max_fee_per_gas,
                max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
            )
            node.broadcast(bursar.request_transaction(signer, account.path(1), tx, sender=shop).serialize())
            sandbox.mine_ethereum(1)
            held, left = ask(BALANCE, shop), ask(ALLOWANCE, owner, shop)
            print(f"{shop} has {known[token].format_amount(held)} and may take {known[token].format_amount(left)}")
        assert (ask(BALANCE, shop), ask(ALLOWANCE, owner, shop), ask(NONCES, owner)) == (amount, 0, 1)


if __name__ == "__main__":
    main()
