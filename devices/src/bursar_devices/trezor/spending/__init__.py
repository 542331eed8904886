"""SignTx: the transaction asked for piece by piece, shown, checked against its past, and signed."""
