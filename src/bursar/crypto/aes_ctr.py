"""AES-256 in counter mode (NIST SP 800-38A), for file formats that prescribe it."""

from __future__ import annotations

from bursar.crypto.curve import check_length


def aes256_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """``data`` enciphered or, which is the same, deciphered: key of 32 bytes, first counter block of 16.

    It authenticates nothing: whoever uses it checks a message authentication code as well.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES256
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    check_length(key, 32, "an AES-256 key")
    check_length(counter, 16, "a counter block")
    context = Cipher(AES256(key), CTR(counter)).encryptor()
    return context.update(data) + context.finalize()
