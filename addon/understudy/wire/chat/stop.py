"""The sequences that end a text, which Responses has not: found while the text is told."""


class Stop:
    """Lets a text pass piece by piece, up to the first of the sequences; the pieces may be cut anywhere."""

    def __init__(self, sequences: tuple[str, ...]) -> None:
        """`sequences`: none of them empty."""
        self._sequences = sequences
        self._longest = max(map(len, sequences), default=0)
        self._held = ""
        self.hit = False
        """Whether one has come up: nothing passes any more."""

    def let_pass(self, text: str) -> str:
        """What is sure to come before any sequence; what may be the beginning of one is kept back."""
        if not self._sequences or self.hit:
            return "" if self.hit else text
        text, self._held = self._held + text, ""
        found = [at for at in map(text.find, self._sequences) if at >= 0]
        if found:
            self.hit = True
            return text[: min(found)]
        for at in range(max(0, len(text) - self._longest + 1), len(text)):
            if any(sequence.startswith(text[at:]) for sequence in self._sequences):
                text, self._held = text[:at], text[at:]
                break
        return text

    def rest(self) -> str:
        """What was kept back, now that the text has ended."""
        rest, self._held = self._held, ""
        return rest
