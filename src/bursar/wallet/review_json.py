"""A Review as JSON and back; amounts travel as decimal text."""

from __future__ import annotations

from typing import Any

from bursar.errors import InvalidInputError
from bursar.policy.review import Asset, Called, Change, Delegated, Granted, Payment, Review, ReviewWarning
from bursar.wallet.canonical import field, open_record
from bursar.wallet.transfer import read_amount

_DEEPEST = 16  # calls inside calls


def asset_to_json(asset: Asset) -> dict[str, Any]:
    return {
        "chain": asset.chain,
        "network": asset.network,
        "symbol": asset.symbol,
        "decimals": asset.decimals,
        "contract": asset.contract,
    }


def asset_from_json(data: object) -> Asset:
    item = _object(data, "asset")
    return Asset(
        chain=field(item, "chain", str),
        network=field(item, "network", str),
        symbol=field(item, "symbol", str),
        decimals=field(item, "decimals", int),
        contract=field(item, "contract", (str, type(None))),
    )


def review_to_json(review: Review) -> dict[str, Any]:
    """The record; what only some reviews have is left out where there is none, as in records written before it was."""
    found = {
        "allowances": [_granted_to_json(one) for one in review.allowances],
        "delegations": [
            {"authority": one.authority, "delegate": one.delegate, "any_chain": one.any_chain}
            for one in review.delegations
        ],
        "calls": [_called_to_json(one) for one in review.calls],
    }
    return {
        "kind": "review",
        "version": review.version,
        "chain": review.chain,
        "network": review.network,
        "account": review.account,
        "payments": [
            {"asset": asset_to_json(p.asset), "to": p.to, "amount": str(p.amount), "label": p.label}
            | _number_to_json(p.token_id)
            | ({} if p.owner is None else {"owner": p.owner})
            for p in review.payments
        ],
        "change": [{"address": c.address, "amount": str(c.amount), "path": c.path} for c in review.change],
        "fee": str(review.fee),
        "max_fee": str(review.max_fee),
        "fee_asset": asset_to_json(review.fee_asset),
        "fee_rate": review.fee_rate,
        "warnings": [{"code": w.code, "text": w.text} for w in review.warnings],
        "replaces": review.replaces,
        "extra": dict(review.extra),
        **{name: rows for name, rows in found.items() if rows},
    }


def review_from_json(data: object) -> Review:
    record = open_record(data, "review", 1)
    return Review(
        chain=field(record, "chain", str),
        network=field(record, "network", str),
        account=field(record, "account", str),
        payments=tuple(_payment(item) for item in field(record, "payments", list)),
        change=tuple(_change(item) for item in field(record, "change", list)),
        fee=read_amount(record, "fee"),
        max_fee=read_amount(record, "max_fee"),
        fee_asset=asset_from_json(record.get("fee_asset")),
        fee_rate=field(record, "fee_rate", str),
        warnings=tuple(_warning(item) for item in field(record, "warnings", list)),
        replaces=field(record, "replaces", (str, type(None))),
        version=1,
        extra=field(record, "extra", dict),
        allowances=tuple(_granted(item) for item in _rows(record, "allowances")),
        delegations=tuple(_delegated(item) for item in _rows(record, "delegations")),
        calls=tuple(_called(item, _DEEPEST) for item in _rows(record, "calls")),
    )


def _payment(data: object) -> Payment:
    item = _object(data, "payment")
    return Payment(
        asset=asset_from_json(item.get("asset")),
        to=field(item, "to", str),
        amount=read_amount(item, "amount"),
        label=field(item, "label", (str, type(None))),
        token_id=_number(item),
        owner=field(item, "owner", str) if "owner" in item else None,
    )


def _granted_to_json(one: Granted) -> dict[str, Any]:
    row = {"asset": asset_to_json(one.asset), "spender": one.spender, "amount": str(one.amount)}
    return row | _number_to_json(one.token_id) | {"unlimited": one.unlimited, "until": one.until}


def _granted(data: object) -> Granted:
    item = _object(data, "allowance")
    return Granted(
        asset=asset_from_json(item.get("asset")),
        spender=field(item, "spender", str),
        amount=read_amount(item, "amount"),
        token_id=_number(item),
        unlimited=field(item, "unlimited", bool),
        until=field(item, "until", (int, type(None))),
    )


def _delegated(data: object) -> Delegated:
    item = _object(data, "delegation")
    return Delegated(
        authority=field(item, "authority", str),
        delegate=field(item, "delegate", str),
        any_chain=field(item, "any_chain", bool),
    )


def _called_to_json(one: Called) -> dict[str, Any]:
    return {
        "to": one.to,
        "value": str(one.value),
        "name": one.name,
        "arguments": [list(pair) for pair in one.arguments],
        "understood": one.understood,
        "delegate": one.delegate,
        "calls": [_called_to_json(inner) for inner in one.calls],
    }


def _called(data: object, depth: int) -> Called:
    item = _object(data, "call")
    if not depth:
        raise InvalidInputError(f"calls lie deeper than {_DEEPEST} in one another", code="input.json")
    return Called(
        to=field(item, "to", (str, type(None))),
        value=read_amount(item, "value"),
        name=field(item, "name", (str, type(None))),
        arguments=tuple(_argument(pair) for pair in field(item, "arguments", list)),
        understood=field(item, "understood", bool),
        delegate=field(item, "delegate", bool),
        calls=tuple(_called(inner, depth - 1) for inner in field(item, "calls", list)),
    )


def _argument(data: object) -> tuple[str, str]:
    if not isinstance(data, list) or len(data) != 2 or not all(isinstance(text, str) for text in data):
        raise InvalidInputError("an argument of a call is a label and a text", code="input.json")
    return data[0], data[1]


def _number_to_json(token_id: int | None) -> dict[str, str]:
    return {} if token_id is None else {"token_id": str(token_id)}


def _number(item: dict[str, Any]) -> int | None:
    return read_amount(item, "token_id") if "token_id" in item else None


def _rows(record: dict[str, Any], name: str) -> list[Any]:
    rows: list[Any] = field(record, name, list) if name in record else []
    return rows


def _change(data: object) -> Change:
    item = _object(data, "change")
    return Change(
        address=field(item, "address", str), amount=read_amount(item, "amount"), path=field(item, "path", str)
    )


def _warning(data: object) -> ReviewWarning:
    item = _object(data, "warning")
    return ReviewWarning(code=field(item, "code", str), text=field(item, "text", str))


def _object(data: object, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidInputError(f"a {what} is a json object", code="input.json")
    return data
