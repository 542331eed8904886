"""Floor 5: the signer contract, and the checks that hold a signer's answer to its question."""
