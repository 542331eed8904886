"""A transaction's raw bytes from its JSON-RPC object, for nodes that do not hand out the bytes."""

from __future__ import annotations

from typing import Any

from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.transaction import BLOB, FEE_MARKET, LEGACY, SignedTransaction, UnsignedTransaction
from bursar.nodes.ethrpc.reply import garbled, read_address, read_data, read_list, read_object, read_quantity, read_wei

_MOST_ENTRIES = 4096


def rebuild_raw(body: dict[str, Any], *, chain_id: int) -> bytes:
    """The bytes of a transaction of type 0 to 4; the caller compares their hash with the one asked for."""
    kind = read_quantity(body.get("type", "0x0"), name="the type", most=127)
    fees = {"gas_price": "gasPrice"}
    if kind >= FEE_MARKET:
        fees = {"max_fee_per_gas": "maxFeePerGas", "max_priority_fee_per_gas": "maxPriorityFeePerGas"}
    if kind == BLOB:
        fees["max_fee_per_blob_gas"] = "maxFeePerBlobGas"
    prices: dict[str, Any] = {name: read_wei(body.get(key), name=key) for name, key in fees.items()}
    parity = body.get("v") if kind == LEGACY or body.get("yParity") is None else body["yParity"]
    v = read_quantity(parity, name="v")
    entries = read_list(body.get("accessList") or [], name="the access list", most=_MOST_ENTRIES)
    hashes = read_list(body.get("blobVersionedHashes") or [], name="the blobs' hashes", most=_MOST_ENTRIES)
    authorizations = read_list(body.get("authorizationList") or [], name="the authorizations", most=_MOST_ENTRIES)
    try:
        unsigned = UnsignedTransaction(
            type=kind,
            chain_id=chain_id,
            nonce=read_quantity(body.get("nonce"), name="the nonce"),
            to=None if body.get("to") is None else read_address(body["to"], name="the recipient"),
            value=read_wei(body.get("value"), name="the value"),
            data=read_data(body.get("input"), name="the input"),
            gas_limit=read_quantity(body.get("gas"), name="the gas limit"),
            access_list=tuple(_entry(entry) for entry in entries),
            blob_versioned_hashes=tuple(read_data(one, name="a blob's hash", size=32) for one in hashes),
            authorization_list=tuple(_authorization(one) for one in authorizations),
            **prices,
        )
        signature = EcdsaSignature(
            read_quantity(body.get("r"), name="r"),
            read_quantity(body.get("s"), name="s"),
            v - 35 - 2 * chain_id if kind == LEGACY else v,
        )
        return SignedTransaction(unsigned, signature).serialize()
    except InvalidInputError as error:
        raise garbled(f"it holds no valid transaction: {error.message}") from error


def _authorization(value: Any) -> SignedAuthorization:
    body = read_object(value, name="an authorization")
    chain_id = read_quantity(body.get("chainId"), name="an authorization's chain")
    unsigned = Authorization(
        chain_id,
        read_address(body.get("address"), name="an authorization's delegate"),
        read_quantity(body.get("nonce"), name="an authorization's nonce"),
        any_chain=chain_id == 0,
    )
    parity = read_quantity(body.get("yParity", body.get("v")), name="an authorization's parity")
    signature = EcdsaSignature(read_quantity(body.get("r"), name="r"), read_quantity(body.get("s"), name="s"), parity)
    return SignedAuthorization(unsigned, signature)


def _entry(value: Any) -> AccessListEntry:
    body = read_object(value, name="an access list entry")
    keys = read_list(body.get("storageKeys"), name="the storage keys", most=_MOST_ENTRIES)
    return AccessListEntry(
        read_address(body.get("address"), name="an access list address"),
        tuple(read_data(key, name="a storage key", size=32) for key in keys),
    )
