"""What becomes of a thing that OpenAI's API has: the words of every table that says so."""

from enum import Enum


class Fate(Enum):
    """What becomes of an endpoint, of a parameter, or of a part of a request."""

    SERVED = "served"
    """It has its meaning; what a dialect serves may still be left behind by the provider's rules."""
    EMULATED = "emulated"
    """What it asks for is done in another way."""
    DROPPED = "dropped"
    """Left behind, with a note in the log."""
    REFUSED = "refused"
    """Refused with 400 where it asks for something."""
    PASSED = "passed through"
    """Not ours: it goes to OpenAI as it came, under the program's own key."""
