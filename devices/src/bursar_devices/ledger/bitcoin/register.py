"""REGISTER_WALLET: the human reads a policy once, and the device answers with an HMAC that it will know again."""

from __future__ import annotations

from typing import Final

from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin.host import Host
from bursar_devices.ledger.bitcoin.pages import Screens
from bursar_devices.ledger.bitcoin.paths import ForbiddenPathError, Keyring
from bursar_devices.ledger.bitcoin.policy import KeyInfo, Policy, hmac_of
from bursar_devices.ledger.bitcoin.template import KeyExpression
from bursar_devices.ledger.task import Task

_MOST_KEYS: Final = 15
_BAD_NAME, _NOT_SANE, _NO_OWN_KEY = 0, 1, 2
_NUMS: Final = bytes.fromhex("0250929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")


def _name_is_acceptable(name: bytes) -> bool:
    return 1 <= len(name) <= 64 and all(0x20 <= byte <= 0x7E for byte in name) and name == name.strip(b" ")


def register(data: bytes, host: Host, keys: Keyring, screens: Screens) -> Task:
    """The task; returns policy id and HMAC."""
    request = Reader(data)
    try:
        request.varint()
    except EOFError:
        raise RefusalError(Status.WRONG_LENGTH) from None
    policy: Policy | None = yield from Policy.read(host, request.rest())
    if policy is None:
        raise RefusalError(Status.INCORRECT_DATA)
    if policy.key_count > _MOST_KEYS:
        raise RefusalError(Status.NOT_SUPPORTED)
    expressions = [expression for expression, _ in policy.template.key_expressions()]
    if {index for expression in expressions for index in expression.indexes} != set(range(policy.key_count)):
        raise RefusalError(Status.INCORRECT_DATA)
    if not _name_is_acceptable(policy.name):
        raise RefusalError(Status.INCORRECT_DATA, _BAD_NAME)
    if policy.template.name not in ("pkh", "wpkh", "sh", "wsh", "tr"):
        raise RefusalError(Status.NOT_SUPPORTED)
    infos: list[KeyInfo] = []
    for index in range(policy.key_count):
        info = yield from policy.key_info(host, index)
        if info is None:
            raise RefusalError(Status.INCORRECT_DATA)
        infos.append(info)
    if len({info.xpub.key for info in infos}) != len(infos) or _repeats(expressions):
        raise RefusalError(Status.NOT_SUPPORTED, _NOT_SANE)
    labels = [_label(info, keys) for info in infos]
    if "Our" not in labels:
        raise RefusalError(Status.INCORRECT_DATA, _NO_OWN_KEY)
    shown = []
    for index, label in enumerate(labels):
        raw = yield from host.leaf(policy.keys_root, policy.key_count, index, 162)
        shown.append((f"{label} key@{index}", raw.decode("latin-1")))
    if not (yield screens.policy(policy.name.decode("ascii"), policy.text, shown)):
        raise RefusalError(Status.DENIED)
    return policy.id + hmac_of(keys, policy.id)


def _repeats(expressions: list[KeyExpression]) -> bool:
    seen: set[tuple[tuple[int, ...], int]] = set()
    for expression in expressions:
        places = {(tuple(sorted(expression.indexes)), step) for step in (expression.first, expression.second)}
        if seen & places or len(set(expression.indexes)) != len(expression.indexes):
            return True
        seen |= places
    return False


def _label(info: KeyInfo, keys: Keyring) -> str:
    if info.xpub.testnet != keys.testnet:
        raise RefusalError(Status.INCORRECT_DATA)
    if info.xpub.key == _NUMS:
        return "Dummy"
    if info.fingerprint != keys.fingerprint:
        return "Their"
    try:
        return "Our" if str(keys.xpub(info.path)) == info.text else "Their"
    except ForbiddenPathError:
        raise RefusalError(Status.NOT_SUPPORTED) from None
