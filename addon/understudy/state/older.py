"""Pools as earlier versions wrote them, brought into the present form; `schema` checks what comes of it."""

from collections.abc import Callable

from understudy.pool.account import Ground, Lane

_Object = dict[str, object]


def present_form(document: _Object, version: int) -> _Object:
    """The document in the present form; what an older version did not know is as if it had never been set."""
    if version < 2:
        document = {"affinity_generation": 0, "pin": None, **_each_account(document, _first_to_second), "version": 2}
    return {**_each_account(document, _second_to_third), "version": 3} if version < 3 else document


def _each_account(document: _Object, change: Callable[[_Object], object]) -> _Object:
    accounts = document.get("accounts")
    if not isinstance(accounts, list):
        return document
    changed = [change(account) if isinstance(account, dict) else account for account in accounts]
    return {**document, "accounts": changed}


def _first_to_second(account: _Object) -> _Object:
    """The first format had no notes and no record of refreshes, and no pin beside its accounts."""
    refreshes: _Object = {
        "sent_at": None,
        "streak": 0,
        "retry_at": 0.0,
        "reason": "",
        "attempts": [],
        "renewed_at": None,
    }
    return {"health_at": None, "added_at": None, "tags": [], "note": "", "refreshes": refreshes, **account}


def _second_to_third(account: _Object) -> _Object:
    """The second had one block an account, which told a limit from a refused login, and ChatGPT's accounts alone."""
    spending = {"day": 0, "requests": 0}
    changed = {"reserve_percent": 0.0, "lane": Lane.CODEX.value, "spending": spending, **account}
    if "block" in changed:
        block = changed.pop("block")
        changed["blocks"] = [] if block is None else [_block_of_second(block)]
    return changed


def _block_of_second(block: object) -> object:
    if not isinstance(block, dict) or not isinstance(limit := block.get("limit"), bool):
        return block
    ground = Ground.LIMIT if limit else Ground.LOGIN
    kept = {name: value for name, value in block.items() if name != "limit"}
    return {"ground": ground.value, "model": "", "limit_id": "", "since": 0.0, "tried_at": None, **kept}
