"""What BIP-174, 370, 371 and 373 require of each key and value of a PSBT map; unknown types are free."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from bursar.bitcoin.transaction import TxOut
from bursar.bitcoin.wire import read_compact_size, read_stack, sized
from bursar.crypto.hashes import hash160, ripemd160, sha256, sha256d
from bursar.errors import InvalidInputError

Rule = Callable[[bytes, bytes], bool]
"""True when key (type byte included) and value are well formed; ``IndexError`` counts as no."""

GLOBAL_TX: Final = b"\x00"
GLOBAL_XPUB: Final = b"\x01"
GLOBAL_TX_VERSION: Final = b"\x02"
GLOBAL_FALLBACK_LOCKTIME: Final = b"\x03"
GLOBAL_INPUT_COUNT: Final = b"\x04"
GLOBAL_OUTPUT_COUNT: Final = b"\x05"
GLOBAL_TX_MODIFIABLE: Final = b"\x06"
GLOBAL_VERSION: Final = b"\xfb"
NON_WITNESS_UTXO: Final = b"\x00"
WITNESS_UTXO: Final = b"\x01"
PARTIAL_SIG: Final = b"\x02"
SIGHASH_TYPE: Final = b"\x03"
IN_REDEEM_SCRIPT: Final = b"\x04"
IN_WITNESS_SCRIPT: Final = b"\x05"
IN_BIP32: Final = b"\x06"
FINAL_SCRIPT_SIG: Final = b"\x07"
FINAL_WITNESS: Final = b"\x08"
RIPEMD160: Final = b"\x0a"
SHA256: Final = b"\x0b"
HASH160: Final = b"\x0c"
HASH256: Final = b"\x0d"
PREVIOUS_TXID: Final = b"\x0e"
OUTPUT_INDEX: Final = b"\x0f"
SEQUENCE: Final = b"\x10"
REQUIRED_TIME: Final = b"\x11"
REQUIRED_HEIGHT: Final = b"\x12"
TAP_KEY_SIG: Final = b"\x13"
TAP_SCRIPT_SIG: Final = b"\x14"
TAP_LEAF_SCRIPT: Final = b"\x15"
IN_TAP_BIP32: Final = b"\x16"
IN_TAP_INTERNAL_KEY: Final = b"\x17"
TAP_MERKLE_ROOT: Final = b"\x18"
IN_MUSIG2_PARTICIPANTS: Final = b"\x1a"
MUSIG2_PUB_NONCE: Final = b"\x1b"
MUSIG2_PARTIAL_SIG: Final = b"\x1c"
OUT_REDEEM_SCRIPT: Final = b"\x00"
OUT_WITNESS_SCRIPT: Final = b"\x01"
OUT_BIP32: Final = b"\x02"
OUT_AMOUNT: Final = b"\x03"
OUT_SCRIPT: Final = b"\x04"
OUT_TAP_INTERNAL_KEY: Final = b"\x05"
OUT_TAP_TREE: Final = b"\x06"
OUT_TAP_BIP32: Final = b"\x07"
OUT_MUSIG2_PARTICIPANTS: Final = b"\x08"
LOCKTIME_THRESHOLD: Final = 500_000_000  # below: a block height; from here on: seconds since 1970

Rules = list[Rule | None]
_MAX_ORIGIN: Final = 4 + 4 * 255


def _bare(key: bytes, _value: bytes) -> bool:
    return len(key) == 1


def _public_key(key: bytes) -> bool:
    return (len(key) == 34 and key[1] in (2, 3)) or (len(key) == 66 and key[1] == 4)


def _origin(value: bytes) -> bool:
    return 4 <= len(value) <= _MAX_ORIGIN and len(value) % 4 == 0


def _transaction(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and len(value) >= 10


def _witness_utxo(key: bytes, value: bytes) -> bool:
    if len(key) != 1:
        return False
    if value[8] != len(value) - 9 or value[8] >= 253 or value[6] > 6 or value[7]:
        TxOut.parse(value)
    return True


def _partial_sig(key: bytes, value: bytes) -> bool:
    return _public_key(key) and 9 <= len(value) <= 73


def _four_bytes(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and len(value) == 4


def _derivation(key: bytes, value: bytes) -> bool:
    return (
        ((len(key) == 34 and key[1] in (2, 3)) or _public_key(key))
        and 4 <= len(value) <= _MAX_ORIGIN
        and not len(value) & 3
    )


def _final_witness(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and read_stack(value, 0)[1] == len(value)


def _preimage(digest: Callable[[bytes], bytes]) -> Rule:
    def rule(key: bytes, value: bytes) -> bool:
        return digest(value) == key[1:]

    return rule


def _schnorr(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and len(value) in (64, 65)


def _script_schnorr(key: bytes, value: bytes) -> bool:
    return len(key) == 65 and len(value) in (64, 65)


def _leaf_script(key: bytes, value: bytes) -> bool:
    return len(key) >= 34 and (len(key) - 34) % 32 == 0 and len(key) <= 34 + 32 * 128 and len(value) >= 1


def _tap_derivation(key: bytes, value: bytes) -> bool:
    if len(key) != 33:
        return False
    count, at = read_compact_size(value, 0)
    return count <= len(value) // 32 and _origin(value[at + 32 * count :])


def _bare_32(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and len(value) == 32


def _tap_tree(key: bytes, value: bytes) -> bool:
    """Depth, leaf version and script in depth-first order; the depths must close a binary tree."""
    if len(key) != 1 or not value:
        return False
    at = 0
    open_at: list[int] = []  # depths of finished subtrees still waiting for their sibling
    while at < len(value):
        depth, version = value[at], value[at + 1]
        if depth > 128 or version & 1:
            return False
        size, at = read_compact_size(value, at + 2)
        at += size
        if (open_at and depth < open_at[-1]) or open_at == [0]:
            return False
        while open_at and open_at[-1] == depth:
            open_at.pop()
            depth -= 1
        open_at.append(depth)
    return at == len(value) and open_at == [0]


def _xpub(key: bytes, value: bytes) -> bool:
    return len(key) == 79 and _origin(value) and len(value) == 4 + 4 * key[5]


def _compressed(keys: bytes) -> bool:
    return all(keys[at] in (2, 3) and at + 33 <= len(keys) for at in range(0, len(keys), 33))


def _participants(key: bytes, value: bytes) -> bool:
    return len(key) == 34 and bool(value) and _compressed(key[1:]) and _compressed(value)


def _musig2_field(size: int) -> Rule:
    """Participant and aggregate key, then the leaf hash if a leaf is signed."""

    def rule(key: bytes, value: bytes) -> bool:
        return len(key) in (67, 99) and _compressed(key[1:67]) and len(value) == size

    return rule


def _count(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and read_compact_size(value, 0)[1] == len(value)


def _one_byte(key: bytes, value: bytes) -> bool:
    return len(key) == len(value) == 1


def _eight_bytes(key: bytes, value: bytes) -> bool:
    return len(key) == 1 and len(value) == 8


def _time(key: bytes, value: bytes) -> bool:
    return _four_bytes(key, value) and int.from_bytes(value, "little") >= LOCKTIME_THRESHOLD


def _height(key: bytes, value: bytes) -> bool:
    return _four_bytes(key, value) and 0 < int.from_bytes(value, "little") < LOCKTIME_THRESHOLD


def _refused(_key: bytes, _value: bytes) -> bool:
    """Fields of version 2 (BIP-370) may not stand in version 0."""
    return False


def _table(*rules: dict[int, Rule]) -> Rules:
    merged = {kind: rule for one in rules for kind, rule in one.items()}
    return [merged.get(kind) for kind in range(256)]


# the global map is read before the version is known: which fields may stand in it is judged afterwards
GLOBAL_RULES: Final = _table(
    {
        0x00: _transaction,
        0x01: _xpub,
        0x02: _four_bytes,
        0x03: _four_bytes,
        0x04: _count,
        0x05: _count,
        0x06: _one_byte,
        0xFB: _four_bytes,
    }
)
VERSION_2_GLOBAL: Final = (
    GLOBAL_TX_VERSION,
    GLOBAL_FALLBACK_LOCKTIME,
    GLOBAL_INPUT_COUNT,
    GLOBAL_OUTPUT_COUNT,
    GLOBAL_TX_MODIFIABLE,
)
_INPUT: Final[dict[int, Rule]] = {
    0x00: _transaction,
    0x01: _witness_utxo,
    0x02: _partial_sig,
    0x03: _four_bytes,
    0x04: _bare,
    0x05: _bare,
    0x06: _derivation,
    0x07: _bare,
    0x08: _final_witness,
    0x09: _bare,
    0x0A: _preimage(ripemd160),
    0x0B: _preimage(sha256),
    0x0C: _preimage(hash160),
    0x0D: _preimage(sha256d),
    0x13: _schnorr,
    0x14: _script_schnorr,
    0x15: _leaf_script,
    0x16: _tap_derivation,
    0x17: _bare_32,
    0x18: _bare_32,
    0x1A: _participants,
    0x1B: _musig2_field(66),
    0x1C: _musig2_field(32),
}
_OUTPUT: Final[dict[int, Rule]] = {
    0x00: _bare,
    0x01: _bare,
    0x02: _derivation,
    0x05: _bare_32,
    0x06: _tap_tree,
    0x07: _tap_derivation,
    0x08: _participants,
}
INPUT_RULES: Final = _table(_INPUT, dict.fromkeys(range(0x0E, 0x13), _refused))
OUTPUT_RULES: Final = _table(_OUTPUT, dict.fromkeys((0x03, 0x04), _refused))
INPUT_RULES_2: Final = _table(
    _INPUT, {0x0E: _bare_32, 0x0F: _four_bytes, 0x10: _four_bytes, 0x11: _time, 0x12: _height}
)
OUTPUT_RULES_2: Final = _table(_OUTPUT, {0x03: _eight_bytes, 0x04: _bare})


def read_map(data: bytes, at: int, rules: Rules, where: str) -> tuple[dict[bytes, bytes], int]:
    """One key-value map at ``at`` in its order, and the offset behind its end; ``IndexError`` past all bytes."""
    fields: dict[bytes, bytes] = {}
    while True:
        size = data[at]
        at += 1
        if size == 0:
            return fields, at
        if size >= 253:
            size, at = read_compact_size(data, at - 1)
        end = at + size
        key = data[at:end]
        size = data[end]
        at = end + 1
        if size >= 253:
            size, at = read_compact_size(data, end)
        end = at + size
        value = data[at:end]
        if key in fields:
            raise InvalidInputError(f"psbt {where} has the key {key.hex()[:80]} twice", code="input.psbt.duplicate")
        at = end
        rule = rules[key[0]]
        if rule is not None and not rule(key, value):
            check(rule, key, value, where)
        fields[key] = value


def check(rule: Rule, key: bytes, value: bytes, where: str) -> None:
    """Raise ``InvalidInputError`` unless the rule accepts key and value."""
    try:
        if rule(key, value):
            return
    except (IndexError, struct.error):
        pass
    if rule is _refused:
        raise InvalidInputError(
            f"psbt {where} field type 0x{key[0]:02x} belongs to version 2 (BIP-370): convert the psbt to version 0",
            code="input.psbt.version",
        )
    raise InvalidInputError(f"psbt {where} field type 0x{key[0]:02x} is malformed", code="input.psbt.field")


def write_map(fields: dict[bytes, bytes]) -> bytes:
    """A key-value map with its end marker, in the order of ``fields``."""
    parts: list[bytes] = []
    for key, value in fields.items():
        parts += (sized(key), sized(value))
    parts.append(b"\0")
    return b"".join(parts)
