"""Exit codes by class of error: one table, printed by ``bursar help exit-codes``."""

from __future__ import annotations

from bursar import errors

OK = 0
BUG = 1
USAGE = 2
SYSTEM = 3
UNHEALTHY = 4
INCONCLUSIVE = 5
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

EXIT_BY_ERROR: dict[type[errors.BursarError], int] = {
    errors.InvalidInputError: USAGE,
    errors.InconclusiveError: INCONCLUSIVE,
    errors.SignerError: 10,
    errors.SignerNotFoundError: 11,
    errors.SignerUnavailableError: 12,
    errors.UserCancelledError: 13,
    errors.UnsupportedError: 14,
    errors.SignerMisbehavedError: 15,
    errors.KeystoreError: 20,
    errors.WrongPasswordError: 21,
    errors.CorruptKeystoreError: 22,
    errors.KeystoreBusyError: 23,
    errors.PolicyDeniedError: 30,
    errors.ApprovalPendingError: 31,
    errors.InsufficientFundsError: 40,
    errors.ConflictError: 41,
    errors.StoreError: 50,
    errors.CorruptStoreError: 51,
    errors.StoreBusyError: 52,
    errors.ChainError: 60,
    errors.ChainUnavailableError: 61,
    errors.WrongChainError: 62,
    errors.BroadcastRejectedError: 63,
    errors.MissingExtraError: 70,
    errors.BursarError: BUG,
}

WITHOUT_CLASS: tuple[tuple[int, str, str], ...] = (
    (OK, "-", "Done."),
    (BUG, "internal", "A defect in Bursar; the traceback is on standard error."),
    (SYSTEM, "system", "The operating system refused: a file, a permission, a full disk."),
    (UNHEALTHY, "-", "'bursar doctor' found a problem."),
    (INTERRUPTED, "interrupted", "Stopped by Ctrl-C."),
    (BROKEN_PIPE, "-", "Whoever read the output went away."),
    (TERMINATED, "interrupted", "Stopped by a request to terminate."),
)


def exit_code(error: errors.BursarError) -> int:
    """The exit code of the nearest class in the table."""
    return next(EXIT_BY_ERROR[kind] for kind in type(error).__mro__ if kind in EXIT_BY_ERROR)


def table() -> list[tuple[int, str, str]]:
    """Every exit code as (number, error code, meaning), in order."""
    rows = list(WITHOUT_CLASS)
    for kind, number in EXIT_BY_ERROR.items():
        if kind is not errors.BursarError:
            meaning = (kind.__doc__ or "").partition("\n")[0].partition(";")[0].replace("`", "")
            rows.append((number, kind.default_code, meaning.removesuffix(".") + "."))
    return sorted(rows)
