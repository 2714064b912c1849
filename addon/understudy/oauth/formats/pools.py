"""The pools of oc-codex-multi-auth, codex-multi-auth and kyoli-gam: a list of accounts each, in like forms."""

from collections.abc import Mapping, Sequence

from understudy.oauth.formats.collect import collect
from understudy.oauth.formats.found import Found

_VERSIONS = (None, 1, 3)
_MARKS = {
    "kyoli-gam": {"activeAccountUuid", "uuid", "planTier", "consecutiveAuthFailures"},
    "oc-codex-multi-auth": {"organizationId", "accountUserId", "accountTags", "accountNote", "tokenRotatedAt"},
    "codex-multi-auth": {"pinnedAccountIndex", "affinityGeneration", "recordId", "workspaces", "authInvalidatedAt"},
}
"""Members that one program alone writes, of the file or of an account."""


def read(document: Mapping[str, object]) -> Found | None:
    """`{"version": 1 | 3, "accounts": [{"refreshToken", "accessToken"?, "expiresAt"?, "accountId"?, "email"?,
    "enabled"?, ...}], ...}`, times in epoch milliseconds.

    oc-codex-multi-auth and codex-multi-auth add `accountLabel`, the former `accountTags` and `accountNote` too, and
    kyoli-gam `label`. The oldest files have no version, and version 2 was never described. Accounts that a program has
    given up have `flaggedAt`, in a file of their own, `authInvalidatedAt` or `isAuthDisabled`.

    Sources: ndycode/oc-codex-multi-auth lib/schemas.ts, lib/storage/{migrations,flagged}.ts; ndycode/codex-multi-auth
    lib/schemas.ts; other-yuka/kyoli-gam packages/multi-account-core/src/types.ts.
    """
    accounts = document.get("accounts")
    if not isinstance(accounts, list) or not _is_pool(document, accounts):
        return None
    program = _program(document, accounts)
    if document.get("version") not in _VERSIONS:
        raise ValueError(f"it is of a version of the format of {program} that is not known")
    return collect(program, accounts)


def _is_pool(document: Mapping[str, object], accounts: Sequence[object]) -> bool:
    return any("refreshToken" in account for account in accounts if isinstance(account, dict)) or (
        not accounts and "version" in document
    )


def _program(document: Mapping[str, object], accounts: Sequence[object]) -> str:
    names = {*document, *(name for account in accounts if isinstance(account, dict) for name in account)}
    known = (program for program, marks in _MARKS.items() if names & marks)
    return next(known, "oc-codex-multi-auth or codex-multi-auth")
