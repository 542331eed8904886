"""Floor 3: derivation paths, BIP-32 keys, BIP-39 mnemonics, key origins and account schemes."""
