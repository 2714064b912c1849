"""Runs a campaign: many tries to lose a login or a pool, or to have a request fail that somebody could have served."""

import argparse
import importlib
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem.replace("_", "-") for path in (HERE / "campaigns").glob("[!_]*.py"))


def main() -> int:
    """Exit code 1 where anything was lost, failed in vain, or was asked for more often than it may be."""
    parser = argparse.ArgumentParser(description="Tries to lose a login, a pool, or a request.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="a few seconds: shows that it works, proves little")
    arguments = parser.parse_args()
    # What the campaigns share with the tests: servers, logins, ways to kill.
    sys.path.append(str(HERE.parent / "tests"))
    began = time.monotonic()
    well: bool = importlib.import_module(f"campaigns.{arguments.name.replace('-', '_')}").run(arguments.quick)
    print(f"{arguments.name}: {'PASS' if well else 'FAIL'} after {time.monotonic() - began:.0f} s")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
