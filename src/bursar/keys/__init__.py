"""Floor 3: derivation paths, BIP-32 keys, BIP-39 mnemonics, shares and child seeds, key origins and account schemes."""
