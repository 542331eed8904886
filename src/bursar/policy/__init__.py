"""Policy: what may be signed, decided by pure rules over a review and a history."""
