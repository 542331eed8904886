"""Known answers that the curve library must give before it is used (SEC 2, RFC 6979, BIP-340, BIP-341)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Callable

_ONE = (1).to_bytes(32, "big")
_TWO = (2).to_bytes(32, "big")
_THREE = (3).to_bytes(32, "big")
_POINT_1 = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
_POINT_3 = bytes.fromhex("02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9")
_DIGEST = bytes.fromhex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf")  # SHA-256 of "sample"
_ECDSA = bytes.fromhex(  # of _DIGEST by key 1
    "58db657bcd631038bea07b4941172f0167aca98f12b55e3176bd1c35435d6501"
    "3a78e73d8ff8ab554e13c10f6390d81a882f91945d6275493882676170b53a57"
)
_SCHNORR = bytes.fromhex(  # BIP-340, test vector 0
    "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
    "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"
)


_TAPROOT_INTERNAL = bytes.fromhex("d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d")  # BIP-341 wallet
_TAPROOT_OUTPUT = bytes.fromhex("53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343")  # test vector 0


def _verifies(check: Callable[..., None], *arguments: bytes) -> bool:
    try:
        check(*arguments)
    except InvalidSignatureError:
        return False
    return True


def answers_hold(curve: Any) -> bool:
    """Whether ``curve``, with the functions of ``bursar.crypto.secp256k1``, accepts the good and refuses the bad."""
    return (
        curve.public_key(_ONE) == _POINT_1
        and curve.public_key(_THREE) == _POINT_3
        and curve.parse_public_key(curve.uncompressed(_POINT_3)) == _POINT_3
        and curve.tweak_add_public(_POINT_1, _TWO) == _POINT_3
        and curve.tweak_add_secret(_ONE, _TWO) == _THREE
        and curve.taproot_output_key(_TAPROOT_INTERNAL)[0] == _TAPROOT_OUTPUT
        and curve.ecdsa_sign(_ONE, _DIGEST) == _ECDSA
        and curve.ecdsa_sign_recoverable(_ONE, _DIGEST).compact() == _ECDSA
        and curve.ecdsa_recover(_DIGEST, curve.ecdsa_sign_recoverable(_ONE, _DIGEST)) == _POINT_1
        and curve.schnorr_sign(_THREE, bytes(32), bytes(32)) == _SCHNORR
        and _verifies(curve.ecdsa_verify, _POINT_1, _DIGEST, _ECDSA)
        and not _verifies(curve.ecdsa_verify, _POINT_3, _DIGEST, _ECDSA)
        and _verifies(curve.schnorr_verify, _POINT_3[1:], bytes(32), _SCHNORR)
        and not _verifies(curve.schnorr_verify, _POINT_1[1:], bytes(32), _SCHNORR)
    )
