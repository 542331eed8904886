"""A Review as JSON and back; amounts travel as decimal text."""

from __future__ import annotations

from typing import Any

from bursar.errors import InvalidInputError
from bursar.policy.review import Asset, Change, Payment, Review, ReviewWarning
from bursar.wallet.canonical import field, open_record
from bursar.wallet.transfer import read_amount


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
    return {
        "kind": "review",
        "version": review.version,
        "chain": review.chain,
        "network": review.network,
        "account": review.account,
        "payments": [
            {"asset": asset_to_json(p.asset), "to": p.to, "amount": str(p.amount), "label": p.label}
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
    )


def _payment(data: object) -> Payment:
    item = _object(data, "payment")
    return Payment(
        asset=asset_from_json(item.get("asset")),
        to=field(item, "to", str),
        amount=read_amount(item, "amount"),
        label=field(item, "label", (str, type(None))),
    )


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
