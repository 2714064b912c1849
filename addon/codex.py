"""The mitmproxy script: `mitmdump -s addon/codex.py`. Everything it does is in the package beside it."""

from understudy.entry import addon

addons = [addon()]
