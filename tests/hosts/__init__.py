"""Real programs, unmodified, as hosts. `scripts/test-hosts` installs them and runs these tests."""
