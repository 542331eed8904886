"""Bitcoin: units, scripts, addresses, transactions, PSBTs, coin selection (BIP-125, 137, 141, 143, 173, 174, 341, 350, 371)."""
