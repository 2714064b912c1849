"""A loopback ChatGPT: OAuth issuer, Codex backend and usage, strict like the real ones, with faults by scenario.

Stands alone on purpose: it shares no code with the proxy, so that the two check each other.
"""
