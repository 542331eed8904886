"""Watch an account without its keys: addresses and descriptors from the public half, by no network at all."""

from __future__ import annotations

import bursar

# the first account of BIP-84's test vectors
XPUB = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V"


def main() -> None:
    origin = bursar.KeyOrigin.from_text("73c5da0a/84h/0h/0h")
    key = bursar.ExtendedPublicKey.from_text(XPUB)
    account = bursar.BitcoinAccount(bursar.Network.MAIN, bursar.Scheme.BIP84, origin, key)

    print("descriptor", account.descriptor(0))
    for index in range(3):
        print(account.path(0, index), account.address(0, index))
    print("a thousand more, quickly:", len(account.addresses(0, 3, 1000)))


if __name__ == "__main__":
    main()
