"""The simulated Ethereum app."""
