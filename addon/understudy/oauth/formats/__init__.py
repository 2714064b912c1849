"""Logins as files hold them: one module for each family of formats, and what they share in `collect` and `records`.

Each has `read(document)`: what an object read from JSON holds, or None where it is of another family.
"""
