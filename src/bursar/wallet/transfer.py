"""The intent: who shall get what, from which account, at what fee. Nothing here knows a coin or a nonce."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args
from uuid import uuid4

from bursar.chain.protocols import Speed
from bursar.errors import InvalidInputError
from bursar.wallet.actions import Action, action_from_json, action_to_json
from bursar.wallet.canonical import digest, open_record
from bursar.wallet.canonical import field as read
from bursar.wallet.coin_control import CoinControl, SpendWith, Strategy

if TYPE_CHECKING:
    from bursar.bitcoin.units import FeeRate
    from bursar.ethereum.fees import Eip1559Fees

MAX_TEXT = 1000
MAX_ORDERS = 2000


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """Pay ``amount`` base units (satoshi, wei, token units) of ``asset`` to the address ``to``.

    ``asset`` is ``"BTC"``, ``"ETH"`` (or what the chain's own coin is called), the contract address of a registered
    token, or its symbol when only one registered token of the account's chain has it. ``name`` is what was typed where
    ``to`` comes from a name (ENS): it must still stand for ``to`` when the transfer is signed.
    """

    to: str
    amount: int
    asset: str
    name: str | None = None

    def __post_init__(self) -> None:
        if type(self.to) is not str or not 0 < len(self.to) <= MAX_TEXT:
            raise InvalidInputError("a payment order names an address", code="input.address")
        if type(self.asset) is not str or not 0 < len(self.asset) <= MAX_TEXT:
            raise InvalidInputError(
                "a payment order names an asset: BTC, ETH or a registered token", code="input.asset"
            )
        if isinstance(self.amount, bool) or not isinstance(self.amount, int):
            raise InvalidInputError("an amount is an integer of base units", code="input.amount")
        if not 0 <= self.amount < 1 << 256:
            raise InvalidInputError(f"amount {str(self.amount)[:90]} is out of range", code="input.amount")
        if self.name is not None and (type(self.name) is not str or not 0 < len(self.name) <= MAX_TEXT):
            raise InvalidInputError("a payee's name is 1 to 1000 characters of text", code="input.name")

    def to_json(self) -> dict[str, Any]:
        named = {} if self.name is None else {"name": self.name}
        return {"to": self.to, "amount": str(self.amount), "asset": self.asset, **named}


@dataclass(frozen=True, slots=True)
class FeeChoice:
    """How much to pay for inclusion.

    ``speed`` asks the node for an estimate; ``rate`` (a ``FeeRate`` for Bitcoin, ``Eip1559Fees`` for Ethereum) is used
    as it stands instead. ``max_fee``, in satoshi or wei, is a hard cap: a plan whose worst case exceeds it is refused.
    ``blob_rate`` is the most for one gas of blobs, in wei (default: twice what it costs now).
    """

    speed: Speed = "normal"
    rate: FeeRate | Eip1559Fees | None = None
    max_fee: int | None = None
    blob_rate: int | None = None

    def __post_init__(self) -> None:
        if self.speed not in get_args(Speed):
            raise InvalidInputError(f"unknown speed {str(self.speed)[:20]!r}: slow, normal or fast", code="input.fee")
        if self.max_fee is not None and (type(self.max_fee) is bool or self.max_fee < 0):
            raise InvalidInputError("the fee cap is a non-negative integer of base units", code="input.fee")
        if self.blob_rate is not None and (type(self.blob_rate) is bool or not 0 < self.blob_rate < 1 << 256):
            raise InvalidInputError("the fee for one gas of blobs is a positive integer of wei", code="input.fee")
        _rate_json(self.rate)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "fee-choice",
            "version": 1,
            "speed": self.speed,
            "rate": _rate_json(self.rate),
            "max_fee": None if self.max_fee is None else str(self.max_fee),
            **({} if self.blob_rate is None else {"blob_rate": str(self.blob_rate)}),
        }

    @classmethod
    def from_json(cls, data: object) -> FeeChoice:
        record = open_record(data, "fee-choice", 1)
        cap = None if read(record, "max_fee", (str, type(None))) is None else read_amount(record, "max_fee")
        blob_rate = read_amount(record, "blob_rate") if "blob_rate" in record else None
        return cls(read(record, "speed", str), _read_rate(record.get("rate")), cap, blob_rate)


@dataclass(frozen=True, slots=True)
class Transfer:
    """The intent. The same ``idempotency_key`` with the same body is the same transfer; with another body, a conflict.

    ``everything`` sweeps: the single order receives all that is spendable less the fee, and its ``amount`` must be 0.
    ``source`` pins the paying address of an Ethereum account (default: the first address that can pay). ``action`` is
    what an Ethereum transfer does instead of a payment; ``payments`` is empty then.

    For Bitcoin: ``coins`` (as ``txid:vout``) are spent in any case, with ``coins_only`` these and no others;
    ``exclude`` names coins and own addresses that are left alone. ``strategy`` is default (least waste),
    minimum-weight, oldest, privacy (joins no scripts unless it must) or consolidation. ``min_confirmations`` refuses
    younger coins; 0 admits unconfirmed payments by others. With ``subtract_fee`` the payments bear the fee in equal
    parts. ``data`` is put on the chain behind OP_RETURN. ``spend_with`` chooses among the ways a descriptor knows.

    ``id`` names the transfer in the store; by default a fresh UUID.
    """

    account: str
    payments: tuple[PaymentOrder, ...] = ()
    fee: FeeChoice = field(default_factory=FeeChoice)
    idempotency_key: str | None = None
    memo: str | None = None
    everything: bool = False
    source: str | None = None
    coins: tuple[str, ...] = ()
    coins_only: bool = False
    exclude: tuple[str, ...] = ()
    strategy: Strategy = "default"
    min_confirmations: int | None = None
    subtract_fee: bool = False
    data: bytes | None = None
    spend_with: SpendWith = SpendWith()  # noqa: RUF009  (immutable)
    action: Action | None = None
    id: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        if type(self.payments) is not tuple or not all(isinstance(order, PaymentOrder) for order in self.payments):
            raise InvalidInputError("payments is a tuple of PaymentOrder")
        if self.action is not None:
            self._check_action()
        elif not 0 < len(self.payments) <= MAX_ORDERS:
            raise InvalidInputError(f"a transfer has 1 to {MAX_ORDERS} payments, not {len(self.payments)}")
        if self.everything and (len(self.payments) != 1 or self.payments[0].amount != 0):
            raise InvalidInputError("sending everything takes exactly one payment with amount 0", code="input.amount")
        for name in ("idempotency_key", "memo", "source"):
            text = getattr(self, name)
            if text is not None and (type(text) is not str or not 0 < len(text) <= MAX_TEXT):
                raise InvalidInputError(f"{name} is 1 to {MAX_TEXT} characters of text")
        if self.subtract_fee and self.everything:
            raise InvalidInputError("sending everything bears its fee already", code="input.amount")
        _ = self.control
        if type(self.id) is not str or not 0 < len(self.id) <= 64:
            raise InvalidInputError("a transfer id is 1 to 64 characters of text")

    def _check_action(self) -> None:
        if not isinstance(self.action, Action):
            raise InvalidInputError("an action is a ContractCall, NftTransfer, SetAllowance, SendBlobs and so on")
        if self.payments or self.everything:
            raise InvalidInputError("a transfer has payments or an action, not both", code="input.action")

    @property
    def control(self) -> CoinControl:
        """What it says about its coins."""
        return CoinControl(
            coins=self.coins,
            coins_only=self.coins_only,
            exclude=self.exclude,
            strategy=self.strategy,
            min_confirmations=self.min_confirmations,
            subtract_fee=self.subtract_fee,
            data=self.data,
            spend_with=self.spend_with,
        )

    def body_digest(self) -> str:
        """Digest of everything but ``id`` and ``idempotency_key``: what the key is bound to."""
        body = self.to_json()
        del body["id"], body["idempotency_key"]
        return digest(body)

    def to_json(self) -> dict[str, Any]:
        control = self.control.to_json()
        return {
            "kind": "transfer",
            "version": 1,
            "id": self.id,
            "account": self.account,
            "payments": [order.to_json() for order in self.payments],
            "fee": self.fee.to_json(),
            "idempotency_key": self.idempotency_key,
            "memo": self.memo,
            "everything": self.everything,
            "source": self.source,
            **({} if control is None else {"control": control}),
            **({} if self.action is None else {"action": action_to_json(self.action)}),
        }

    @classmethod
    def from_json(cls, data: object) -> Transfer:
        record = open_record(data, "transfer", 1)
        text = (str, type(None))
        control = CoinControl.from_json(record.get("control"))
        return cls(
            account=read(record, "account", str),
            payments=tuple(_read_order(item) for item in read(record, "payments", list)),
            fee=FeeChoice.from_json(record.get("fee")),
            idempotency_key=read(record, "idempotency_key", text),
            memo=read(record, "memo", text),
            everything=read(record, "everything", bool),
            source=read(record, "source", text),
            coins=control.coins,
            coins_only=control.coins_only,
            exclude=control.exclude,
            strategy=control.strategy,
            min_confirmations=control.min_confirmations,
            subtract_fee=control.subtract_fee,
            data=control.data,
            spend_with=control.spend_with,
            action=action_from_json(record.get("action")),
            id=read(record, "id", str),
        )


def _read_order(item: object) -> PaymentOrder:
    if not isinstance(item, dict):
        raise InvalidInputError("a payment is a json object", code="input.json")
    return PaymentOrder(
        to=read(item, "to", str),
        amount=read_amount(item, "amount"),
        asset=read(item, "asset", str),
        name=read(item, "name", str) if "name" in item else None,
    )


def read_amount(item: dict[str, Any], name: str) -> int:
    """A decimal integer kept as text, so that no JSON reader rounds it."""
    text = read(item, name, str)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 80) or (digits != "0" and digits[0] == "0"):
        raise InvalidInputError(f"field {name!r} is not a decimal integer", code="input.json")
    return int(text)


def _rate_json(rate: FeeRate | Eip1559Fees | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    per_kvb = getattr(rate, "sat_per_kvb", None)
    if per_kvb is not None:
        return {"sat_per_kvb": int(per_kvb)}
    max_fee, tip = getattr(rate, "max_fee_per_gas", None), getattr(rate, "max_priority_fee_per_gas", None)
    if max_fee is None or tip is None:
        raise InvalidInputError("a fee rate is a FeeRate or an Eip1559Fees", code="input.fee")
    return {"max_fee_per_gas": str(int(max_fee)), "max_priority_fee_per_gas": str(int(tip))}


def _read_rate(data: object) -> FeeRate | Eip1559Fees | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        raise InvalidInputError("a fee rate is a json object", code="input.json")
    if "sat_per_kvb" in data:
        from bursar.bitcoin.units import FeeRate

        return FeeRate(read(data, "sat_per_kvb", int))
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.ethereum.units import Wei

    return Eip1559Fees(
        max_fee_per_gas=Wei(read_amount(data, "max_fee_per_gas")),
        max_priority_fee_per_gas=Wei(read_amount(data, "max_priority_fee_per_gas")),
    )
