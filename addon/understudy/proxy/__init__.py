"""The mitmproxy side: hooks, the replaying layer, options, commands and views."""
