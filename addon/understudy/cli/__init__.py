"""The `understudy` command: one file a command, one renderer; the only place that prints or exits."""
