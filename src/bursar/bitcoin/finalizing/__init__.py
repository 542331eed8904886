"""Final witnesses of scripts: multisig, miniscript and the leaves of script trees (BIP-174, 371, 379)."""
