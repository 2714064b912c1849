"""Finds the package that the installed script beside this file belongs to, also for a mitmproxy that is elsewhere.

mitmproxy puts the script's folder first on sys.path, and that holds this file and the script alone: what else lies
beside the package is for its own Python.
"""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("understudy", Path(__file__).resolve().parents[1] / "__init__.py")
if _spec is None or _spec.loader is None:
    raise ImportError("the package is not where it was installed", name="understudy")
sys.modules["understudy"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["understudy"])
