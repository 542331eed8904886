"""Money out of nothing, in a sandbox that another process runs: everything goes through its JSON-RPC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.cli.amounts import payment_orders
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.units import Wei
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient
from bursar.nodes.exact_json import satoshi
from bursar.nodes.sandbox.bitcoin.node import FAUCET, FAUCET_RATE, OP_TRUE
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.faucet import Faucet
from bursar.policy.render import amount_text

if TYPE_CHECKING:
    from bursar.nodes.sandbox import SandboxState
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet

_MATURITY = 100
_LEAST_CHANGE = 330
_USUAL = {"bitcoin": 1, "ethereum": 10}  # coins


class Money:
    """Mines, pays and mints in the running sandbox."""

    def __init__(self, state: SandboxState) -> None:
        self._bitcoin = RpcClient(state.bitcoin_url, cookie=Path(state.bitcoin_cookie))
        self._state = state
        self._faucet = str(BitcoinAddress.from_script(FAUCET, Network.REGTEST))

    def close(self) -> None:
        """Hang up; idempotent."""
        self._bitcoin.close()

    def mine_bitcoin(self, blocks: int, address: str | None) -> int:
        """Mine to ``address``, or to the faucet; the new height."""
        self._do("generatetoaddress", blocks, address or self._faucet)
        return int(self._bitcoin.call("getblockcount"))

    def mine_ethereum(self, blocks: int) -> int:
        """The new height."""
        rpc = self._ethereum()
        rpc.call("anvil_mine", hex(blocks))
        return int(rpc.call("eth_blockNumber"), 16)

    def fund(self, wallet: Wallet, record: AccountRecord, amount: str | None, coin: str) -> str:
        """Pay an account and mine it; in words, what it got."""
        address = _address(wallet, record)
        words = (address, amount or f"{_USUAL[record.chain]}{coin}")
        (order,), everything = payment_orders(words, record, wallet.tokens(), coin)
        if everything:
            raise InvalidInputError("name an amount: there is no 'all' of nothing", code="input.amount")
        asset = wallet.asset(record.name, order.asset)
        if record.chain == "bitcoin":
            self._pay_bitcoin(address, Sats(order.amount))
        else:
            self._pay_ethereum(Address.from_text(address), order.amount, asset.contract)
        return amount_text(order.amount, asset)

    def _pay_ethereum(self, to: Address, amount: int, contract: str | None) -> None:
        faucet = Faucet(self._ethereum(), chain_id=self._state.ethereum_chain_id or 0)
        if contract is None:
            faucet.pay(to, Wei(amount))
        elif self._state.token is not None and contract == self._state.token[0]:
            faucet.pay_token(Address.from_text(contract), to, amount)
        else:
            raise InvalidInputError(f"the sandbox did not make {contract} and cannot mint it", code="input.asset")

    def _pay_bitcoin(self, address: str, amount: Sats) -> None:
        wanted = TxOut(amount, BitcoinAddress.from_text(address, Network.REGTEST).script)
        tx = self._payment(wanted)
        if tx is None:
            self._do("generatetoaddress", _MATURITY + 1, self._faucet)
            tx = self._payment(wanted)
        if tx is None:
            raise ChainError(f"the faucet cannot pay {amount.to_btc_text()}: mine more, or ask for less")
        self._do("sendrawtransaction", tx.serialize().hex())
        self._do("generatetoaddress", 1, self._faucet)

    def _payment(self, wanted: TxOut) -> Transaction | None:
        """From as few of the faucet's coins as reach, with change; anyone may spend them, so nobody signs."""
        inputs: list[TxIn] = []
        total = 0
        for outpoint, value in self._coins():
            inputs.append(TxIn(outpoint, b"", 0xFFFFFFFD, (OP_TRUE,)))
            total += value
            size = Transaction(2, inputs, [wanted, TxOut(Sats(0), FAUCET)]).vsize
            change = total - wanted.value - FAUCET_RATE.fee(size)
            if change >= _LEAST_CHANGE:
                return Transaction(2, inputs, [wanted, TxOut(Sats(change), FAUCET)])
        return None

    def _coins(self) -> list[tuple[OutPoint, int]]:
        """The faucet's ripe coins, largest first."""
        found = self._bitcoin.call("scantxoutset", "start", [f"addr({self._faucet})"])
        ripe = [
            (OutPoint.from_text(f"{coin['txid']}:{coin['vout']}"), satoshi(coin["amount"]))
            for coin in found["unspents"]
            if not coin.get("coinbase") or found["height"] - coin["height"] >= _MATURITY
        ]
        return sorted(ripe, key=lambda coin: -coin[1])

    def _do(self, method: str, *params: Any) -> Any:
        reply = self._bitcoin.write(method, *params)
        if isinstance(reply, Refusal):
            raise self._bitcoin.translate(method, reply)
        return reply

    def _ethereum(self) -> LoopbackRpc:
        if self._state.ethereum_url is None:
            raise InvalidInputError("this sandbox runs no ethereum chain: stop it and start another")
        return LoopbackRpc(self._state.ethereum_url)


def _address(wallet: Wallet, record: AccountRecord) -> str:
    """A new address for bitcoin; on Ethereum the first one, so that ether and tokens are at the same place."""
    if record.chain == "ethereum":
        for known in wallet.addresses(record.name):
            return known.address
    return wallet.new_address(record.name, beyond_gap=True).address
