"""REGISTER_WALLET: the human reads a policy once, and the device answers with an HMAC that it will know again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin.miniscript import is_sane
from bursar_devices.ledger.bitcoin.paths import ForbiddenPathError, Keyring
from bursar_devices.ledger.bitcoin.policy import LONGEST_KEY, KeyInfo, Policy, hmac_of

if TYPE_CHECKING:
    from bursar_devices.ledger.bitcoin.host import Asking, Host
    from bursar_devices.ledger.bitcoin.pages import Screens
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
    if not expressions:
        raise RefusalError(Status.INCORRECT_DATA)
    if {index for expression in expressions for index in expression.indexes} != set(range(policy.key_count)):
        raise RefusalError(Status.INCORRECT_DATA)
    if not _name_is_acceptable(policy.name):
        raise RefusalError(Status.INCORRECT_DATA, _BAD_NAME)
    if policy.template.name not in ("pkh", "wpkh", "sh", "wsh", "tr"):
        raise RefusalError(Status.NOT_SUPPORTED)
    if not is_sane(policy.template) or not (yield from _keys_differ(policy, host)) or _repeats(expressions):
        raise RefusalError(Status.NOT_SUPPORTED, _NOT_SANE)
    labels, shown = [], []
    for index in range(policy.key_count):
        raw = yield from host.leaf(policy.keys_root, policy.key_count, index, LONGEST_KEY)
        info = None if raw is None else KeyInfo.parse(raw, policy.version)
        if info is None:
            raise RefusalError(Status.INCORRECT_DATA)
        labels.append(_label(info, keys))
        shown.append((f"{labels[-1]} key@{index}", raw.decode("latin-1")))
    if "Our" not in labels:
        raise RefusalError(Status.INCORRECT_DATA, _NO_OWN_KEY)
    if not (yield screens.policy(policy.name.decode("ascii"), policy.text, shown)):
        raise RefusalError(Status.DENIED)
    return policy.id + hmac_of(keys, policy.id)


def _keys_differ(policy: Policy, host: Host) -> Asking:
    """Every pair compared, the second key of each fetched anew, as the app does."""
    for index in range(policy.key_count - 1):
        first = yield from policy.key_info(host, index)
        if first is None:
            return False
        for other in range(index + 1, policy.key_count):
            second = yield from policy.key_info(host, other)
            if second is None or first.xpub.key == second.xpub.key:
                return False
    return True


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
