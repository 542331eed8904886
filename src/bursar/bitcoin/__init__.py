"""Bitcoin: units, scripts, addresses, transactions, PSBTs, coin selection (BIP-125, 141, 143, 173, 174, 341, 371)."""
