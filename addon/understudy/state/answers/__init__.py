"""Answers that are kept for hosts that refer to them, within bounds: in memory, and on disk if the user wants."""
