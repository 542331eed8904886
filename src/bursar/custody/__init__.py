"""Floor 7, custody: vaults, approvals, double-entry ledger, reconciliation (only the door stands yet)."""
