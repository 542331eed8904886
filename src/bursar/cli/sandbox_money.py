"""Money out of nothing, in a sandbox that another process runs: everything goes through its JSON-RPC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.units import Sats
from bursar.cli.amounts import payment_orders
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.units import Wei
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient
from bursar.nodes.exact_json import satoshi
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.faucet import Faucet
from bursar.policy.render import amount_text

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet

_MATURITY = 100
_MOST_BLOCKS = 1000


class Money:
    """Mines and mints in the running sandbox that ``found`` describes."""

    def __init__(self, session: Session, found: dict[str, Any]) -> None:
        self._bitcoin = RpcClient(found["bitcoin"]["url"], cookie=Path(found["bitcoin"]["cookie"]))
        self._ethereum = LoopbackRpc(found["ethereum"]["url"])
        self._chain_id = int(found["ethereum"]["chain_id"])
        self._token = found["token"]
        self._output = session.output

    def mine_bitcoin(self, blocks: int, address: str | None) -> int:
        """Mine to ``address``, or to a script nobody can spend from; the new height."""
        self._generate(blocks, address or _nobody())
        return int(self._bitcoin.call("getblockcount"))

    def mine_ethereum(self, blocks: int) -> int:
        """The new height."""
        self._ethereum.call("anvil_mine", hex(blocks))
        return int(self._ethereum.call("eth_blockNumber"), 16)

    def fund(self, wallet: Wallet, record: AccountRecord, amount: str | None) -> str:
        """Pay an account; in words, what it got."""
        address = wallet.new_address(record.name, beyond_gap=True).address
        words = (address, amount or ("1sat" if record.chain == "bitcoin" else "10eth"))
        (order,), everything = payment_orders(words, record, wallet.tokens())
        if everything:
            raise InvalidInputError("name an amount: there is no 'all' of nothing", code="input.amount")
        asset = wallet.asset(record.name, order.asset)
        if record.chain == "bitcoin":
            return amount_text(self._mine_at_least(order.amount, address), asset)
        faucet = Faucet(self._ethereum, chain_id=self._chain_id)
        to = Address.from_text(address)
        if asset.contract is None:
            faucet.pay(to, Wei(order.amount))
        elif asset.contract == self._token["contract"]:
            faucet.pay_token(Address.from_text(asset.contract), to, order.amount)
        else:
            raise InvalidInputError(f"the sandbox makes {self._token['symbol']} only", code="input.asset")
        return amount_text(order.amount, asset)

    def _mine_at_least(self, amount: int, address: str) -> int:
        given = 0
        with self._output.progress("mining") as more:
            for _block in range(_MOST_BLOCKS):
                given += self._reward(self._generate(1, address)[0])
                more(Sats(given).to_btc_text())
                if given >= amount:
                    break
            else:
                raise ChainError(
                    f"{_MOST_BLOCKS} blocks do not pay that much on this chain: start with a fresh sandbox"
                )
            self._generate(_MATURITY, _nobody())
        return given

    def _generate(self, blocks: int, address: str) -> list[str]:
        mined = self._bitcoin.write("generatetoaddress", blocks, address)
        if isinstance(mined, Refusal):
            raise self._bitcoin.translate("generatetoaddress", mined)
        return [str(block) for block in mined]

    def _reward(self, block: str) -> int:
        coinbase = self._bitcoin.call("getblock", block, 2)["tx"][0]
        return satoshi(coinbase["vout"][0]["value"])


def _nobody() -> str:
    """A regtest address whose program is all zeros: no key is known for it."""
    from bursar.bitcoin.address import Address as BitcoinAddress
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.script import p2wpkh

    return str(BitcoinAddress.from_script(p2wpkh(bytes(20)), Network.REGTEST))
