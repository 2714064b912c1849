"""The sandbox's state: the issuer, the accounts and keys as they stand, the journal."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from understudy.sandbox.encrypted import Reader, key_mark
from understudy.sandbox.issuer import Issuer
from understudy.sandbox.journal import Journal
from understudy.sandbox.member import Member, new_member
from understudy.sandbox.prompts import PromptCache
from understudy.sandbox.scenario import Scenario
from understudy.sandbox.signin import SignIn
from understudy.sandbox.steps import PlatformStep, Revoked, Unauthorized


@dataclass(slots=True)
class KeyHolder:
    """A key of the Platform API as it stands."""

    label: str
    prompts: PromptCache
    steps: list[PlatformStep]


@dataclass(slots=True)
class World:
    """Everything the endpoints share."""

    scenario: Scenario
    issuer: Issuer
    journal: Journal
    signin: SignIn = field(default_factory=SignIn)
    members: dict[str, Member] = field(default_factory=dict)
    holders: dict[str, KeyHolder] = field(default_factory=dict)
    """Of the Platform's keys, by the key itself."""

    def reset(self, now: float) -> None:
        """Back to the scenario's beginning: new logins, full quota, first steps, an empty journal."""
        self.members.clear()
        self.journal.clear()
        self.signin.forget()
        for label, spec in self.scenario.accounts.items():
            self.members[label] = new_member(label, spec, self.scenario.models, now)
            self.issuer.add(self.members[label].identity, spec, now)
        for label, key in self.scenario.api_keys.items():
            self.holders[key.key] = KeyHolder(label, PromptCache(key_mark(label)), list(key.steps))

    def play_key(self, label: str, steps: Sequence[PlatformStep]) -> None:
        """From the next request with the key on, these steps."""
        self.holders[self.scenario.api_keys[label].key].steps = list(steps)

    def reader(self, mark: str) -> Reader:
        """Who has this mark, as somebody who is sent encrypted content."""
        return Reader(mark, self.scenario.encrypted, self.scenario.encrypted_names_item)

    def suffer(self, step: object, access: str) -> None:
        """What a step does to the login itself."""
        if isinstance(step, Unauthorized):
            self.issuer.refuse_access(access)
        elif isinstance(step, Revoked):
            self.issuer.revoke(access)
