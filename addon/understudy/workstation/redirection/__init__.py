"""Transparent mode: programs that know of no proxy, and whose new connections the system leads to it all the same."""

LOCAL_MODE_ON_LINUX = (
    "mitmproxy's local mode is not used on Linux: where it cannot attach to a program it says that it has started, and "
    "the program's calls go out under its own key. Use: understudy transparent up"
)
