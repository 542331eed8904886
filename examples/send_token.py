"""Send an ERC-20 token under a policy that knows the token, and see the policy refuse what is over its limit."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import bursar
from bursar.keys.mnemonic import generate

PAYEE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
POLICY = """
version = 1

[[token]]
symbol = "{symbol}"
network = "eip155:{chain_id}"
contract = "{contract}"
decimals = {decimals}

[[rule]]
name = "known-payees"
kind = "allow-list"
addresses = ["{payee}"]

[[rule]]
name = "token-limit"
kind = "limit"
max = "100{symbol}"
"""


def main() -> None:
    signer = bursar.SoftwareSigner.from_mnemonic(generate())
    master = signer.info.fingerprint
    assert master is not None  # a software signer always knows its own
    path = bursar.account_path(bursar.Scheme.BIP44, bursar.CoinType.ETHEREUM, 0)

    with (
        TemporaryDirectory() as folder,
        bursar.Sandbox(None) as sandbox,
        bursar.Wallet.open(Path(folder) / "wallet.db", create=True) as wallet,
        closing(bursar.EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)) as node,
        closing(signer),
    ):
        origin = bursar.KeyOrigin(master, path)
        account = bursar.EthereumAccount(node.chain_id, origin, signer.xpub(path))
        wallet.add_account("payments", account, signer=str(master))
        token = sandbox.token
        wallet.add_token(node.chain_id, token.contract, token.symbol, token.decimals)
        holder = wallet.new_address("payments").address
        sandbox.fund_ether(holder, bursar.Wei.from_text("1eth"))
        sandbox.fund_token(holder, 500 * 10**token.decimals)
        wallet.sync("payments", node)

        policy = bursar.RulePolicy.from_toml(
            POLICY.format(
                symbol=token.symbol,
                chain_id=node.chain_id,
                contract=token.contract,
                decimals=token.decimals,
                payee=PAYEE,
            )
        )
        for whole in (60, 160):
            order = bursar.PaymentOrder(PAYEE, whole * 10**token.decimals, token.symbol)
            plan = wallet.plan(bursar.Transfer("payments", (order,)), node)
            try:
                approved = wallet.approve(plan, policy)
            except bursar.PolicyDeniedError as refusal:
                print("refused:", refusal.reason)
                continue
            txid = wallet.send(wallet.sign(approved, signer=signer, policy=policy), node)
            sandbox.mine_ethereum(1)
            wallet.sync("payments", node)
            print("sent", whole, token.symbol, "as", txid, wallet.transfer(plan.id).state)


if __name__ == "__main__":
    main()
