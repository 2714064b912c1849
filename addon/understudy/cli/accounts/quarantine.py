"""`understudy accounts quarantine`: what is kept of earlier pools, and bringing one back."""

import argparse
import json
import time
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, Commands, add_command, add_json, add_yes
from understudy.cli.pool import confirm, store
from understudy.cli.render import age, wrapped
from understudy.state.home import home
from understudy.state.quota import QuotaCache
from understudy.wire.text import safe_text

if TYPE_CHECKING:  # pydantic takes longer to load than `--help` takes
    from understudy.state.kept import Kept

FOLDERS = {"quarantine": "in quarantine", "backups": "backup"}
"""What a file is that lies in one of these."""


def add_parser(commands: Commands) -> None:
    """Adds the command, and its own, to the command line."""
    parser = add_command(
        commands,
        "quarantine",
        run,
        help="list unreadable pools and backups, and bring one back",
        description=(
            "Lists what is kept of earlier pools: files that could not be read (quarantine), copies made before\n"
            "something was changed for good (backups), and the pool as it was last written."
        ),
        example="understudy accounts quarantine restore accounts.json.bak",
    )
    add_json(parser)
    own = parser.add_subparsers(title="commands", metavar="COMMAND")
    restore = add_command(
        own,
        "restore",
        run_restore,
        help="bring an earlier pool back",
        description=(
            "Puts an earlier pool in the place of the present one, which is copied to the folder backups first.\n"
            "An account that is in both keeps its present tokens; another has those of the file, and if they\n"
            "have been used since, it will need a new login."
        ),
        example="understudy accounts quarantine restore accounts.json.bak",
    )
    restore.add_argument("file", metavar="FILE", help="a file of the list")
    add_yes(restore)
    clear = add_command(
        own,
        "clear",
        run_clear,
        help="delete the unreadable pools",
        description="Deletes what lies in the folder quarantine, and nothing else.",
        example="understudy accounts quarantine clear --yes",
    )
    add_yes(clear)


def run(arguments: argparse.Namespace) -> int:
    """Lists the files. Exit code 0."""
    from understudy.state.kept import kept_files

    found, now = kept_files(home()), time.time()
    if arguments.json:
        print(json.dumps({"version": 1, "files": [_object(kept) for kept in found]}, indent=2))
    elif found:
        for kept in found:
            what = f"{FOLDERS.get(kept.path.parent.name, 'as last written')}, {age(now - kept.at)}, {kept.size} bytes"
            print("\n".join([safe_text(kept.path.name, 200), *wrapped(f"  {what}: {_holds(kept)}", 4)]))
        print("\nTo bring one back: understudy accounts quarantine restore FILE")
    else:
        print("Nothing is kept of earlier pools.")
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Asks, and brings the pool back. Exit code 0 or 1."""
    from understudy.state.kept import find, restore

    kept = find(home(), arguments.file)
    if kept is None:
        raise CannotDo("there is no such file among those that are kept; see: understudy accounts quarantine")
    if kept.pool is None:
        raise CannotDo(f"{kept.path.name} cannot be brought back: {kept.trouble}")
    confirm(f"Put {kept.path.name} ({_holds(kept)}) in the place of the present pool?", arguments.yes)
    pools = store()
    pool, backup = restore(pools, pools.read_copy(kept.path))
    QuotaCache(home()).sync(pool)
    print(f"restored {_holds(kept)} from {kept.path}")
    if backup is not None:
        print(f"The pool as it was before: {backup}")
    print("Whether the logins still work: understudy accounts check")
    return 0


def run_clear(arguments: argparse.Namespace) -> int:
    """Asks, and deletes the quarantined files. Exit code 0 or 1."""
    from understudy.state.kept import delete, kept_files

    quarantined = [kept for kept in kept_files(home()) if kept.quarantined]
    if not quarantined:
        print("nothing is in quarantine")
        return 0
    files = "1 file" if len(quarantined) == 1 else f"{len(quarantined)} files"
    confirm(f"Delete {files} in {quarantined[0].path.parent}?", arguments.yes)
    for kept in quarantined:
        delete(kept)
    print(f"deleted {files}")
    return 0


def _holds(kept: "Kept") -> str:
    if kept.pool is None:
        return f"unreadable: {kept.trouble}"
    count = len(kept.pool.accounts)
    return "1 account" if count == 1 else f"{count} accounts"


def _object(kept: "Kept") -> dict[str, object]:
    return {
        "path": str(kept.path),
        "written_at": kept.at,
        "size": kept.size,
        "accounts": None if kept.pool is None else len(kept.pool.accounts),
        "trouble": kept.trouble or None,
    }
