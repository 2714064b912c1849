"""The files on disk: one locked, atomic write path, and the values they hold."""
