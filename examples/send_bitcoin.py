"""Send bitcoin in twenty lines: a signer, an account, a wallet and a node, each made apart and handed to the next."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import bursar
from bursar.keys.mnemonic import generate
from bursar.policy.policy import DEFAULT_POLICY_TOML

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def main() -> None:
    signer = bursar.SoftwareSigner.from_mnemonic(generate())
    master = signer.info.fingerprint
    assert master is not None  # a software signer always knows its own
    path = bursar.account_path(bursar.Scheme.BIP84, bursar.CoinType.TESTNET, 0)
    origin = bursar.KeyOrigin(master, path)
    account = bursar.BitcoinAccount(bursar.Network.REGTEST, bursar.Scheme.BIP84, origin, signer.xpub(path))

    with (
        TemporaryDirectory() as folder,
        bursar.Sandbox(None, ethereum="none") as sandbox,
        bursar.Wallet.open(Path(folder) / "wallet.db", create=True) as wallet,
        closing(
            bursar.BitcoindBackend(sandbox.bitcoin_url, network=account.network, cookie=sandbox.bitcoin_cookie)
        ) as node,
        closing(signer),
    ):
        wallet.add_account("savings", account, signer=str(master))
        sandbox.fund_bitcoin(wallet.new_address("savings").address, bursar.Sats.from_text("0.5btc"))
        wallet.sync("savings", node)

        payment = bursar.PaymentOrder(PAYEE, bursar.Sats.from_text("0.1btc"), "BTC")
        plan = wallet.plan(bursar.Transfer("savings", (payment,)), node)
        print(bursar.review_text(plan.review))
        approved = wallet.approve(plan, bursar.RulePolicy.from_toml(DEFAULT_POLICY_TOML))
        signed = wallet.sign(approved, signer=signer)
        print("sent", wallet.send(signed, node))

        sandbox.mine(1)
        for record in wallet.refresh("savings", node):
            print(record.state, "in block", record.height, "for a fee of", record.fee, "sat")


if __name__ == "__main__":
    main()
