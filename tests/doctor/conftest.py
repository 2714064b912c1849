"""A healthy installation, for each test to break one thing in it."""

from pathlib import Path

import pytest

from support.clinic import Clinic, healthy_clinic


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """One with nothing wrong in it."""
    return healthy_clinic(tmp_path)
