"""The host name under which a proxy of ours answers for itself. It is nowhere else (`.internal`: ICANN, 2024-07-29)."""

NAME = "understudy.internal"


def is_meant(authority: str | None) -> bool:
    """Whether an authority may be taken for that name, whatever its case, port or last dot."""
    host = (authority or "").lower()
    return NAME in host and NAME in (host.removesuffix("."), host.rpartition(":")[0].removesuffix("."))


def is_exact(authority: str) -> bool:
    """Whether an authority is that name as programs send it."""
    return authority in (NAME, f"{NAME}:80")
