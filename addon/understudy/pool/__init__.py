"""Accounts, choosing, affinity, budgets: values in, decisions out. No I/O and no clock."""
