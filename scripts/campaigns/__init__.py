"""The campaigns: each a module with `run(quick)`, which prints its figures and says whether all is as it must be."""
