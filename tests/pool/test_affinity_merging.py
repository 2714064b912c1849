"""However processes do things and tell each other of them, all come to know the same, and no more than they should."""

from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.pool.affinity import LIFETIME, SKEW, Affinity, Binding, Bindings
from understudy.pool.ledger import EMPTY, Answer, Figures, Ledger
from understudy.wire.usage import Usage

NOW = 1_800_000_000.0
SESSIONS = [f"session {number}" for number in range(6)]
CAPACITY = 4

accounts = st.sampled_from(["work", "home", "spare"])
counts = st.integers(0, 5)
figures = st.builds(Figures, counts, counts, counts)
ledgers = st.builds(
    Ledger,
    st.dictionaries(accounts, figures, max_size=3),
    counts,
    counts,
    st.none() | st.builds(Answer, counts, accounts, counts),
)
bindings = st.builds(Binding, st.none() | accounts, st.integers(0, 9).map(lambda late: NOW + late), ledgers)
told = st.builds(Bindings, st.just(1), st.dictionaries(st.sampled_from(SESSIONS), bindings))


def bound(told: Bindings) -> dict[str, tuple[str | None, float]]:
    return {session: (binding.account_id, binding.used_at) for session, binding in told.sessions.items()}


@given(told, told, told)
def test_the_order_of_merging_makes_no_difference(a: Bindings, b: Bindings, c: Bindings) -> None:
    assert a.merged(b) == b.merged(a)
    assert a.merged(b).merged(c) == a.merged(b.merged(c))


@given(told, told, told)
def test_the_order_of_merging_makes_no_difference_to_bindings_where_there_is_no_room_for_all(
    a: Bindings, b: Bindings, c: Bindings
) -> None:
    def merged(*all: Bindings) -> Bindings:
        return reduce(lambda one, other: one.merged(other, CAPACITY), all)

    assert len(merged(a, b, c).sessions) <= CAPACITY
    assert bound(merged(a, b)) == bound(merged(b, a))
    assert bound(merged(merged(a, b), c)) == bound(merged(a, merged(b, c)))


@given(told, told)
def test_to_hear_the_same_again_changes_nothing(a: Bindings, b: Bindings) -> None:
    assert a.merged(a) == a
    assert a.merged(b).merged(b) == a.merged(b)
    assert not a.merged(b).is_news_to(a.merged(b), everything=True)


@given(told, st.sampled_from([NOW - 3600, NOW, NOW + 3600]))
def test_nothing_lies_in_the_future_once_the_clock_is_asked(a: Bindings, now: float) -> None:
    plausible = a.plausible(now)
    assert all(binding.used_at <= now + SKEW for binding in plausible.sessions.values())
    assert plausible.plausible(now) is plausible


processes = st.integers(0, 2)
sessions = st.sampled_from(SESSIONS)
ticks = st.sampled_from([0.0, 0.5, 30.0, SKEW + 1, LIFETIME, -1.0, -SKEW - 1, -3600.0])
steps = st.one_of(
    st.tuples(st.just("bind"), processes, sessions, accounts),
    st.tuples(st.just("charge"), processes, sessions, accounts),
    st.tuples(st.just("forget"), processes, sessions, accounts),
    st.tuples(st.just("switch"), processes, sessions, accounts),
    st.tuples(st.just("share"), processes, sessions, accounts),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ticks, steps), max_size=60))
def test_whatever_happens_there_is_room_and_no_binding_outlives_its_generation(
    history: list[tuple[float, tuple[str, int, str, str]]],
) -> None:
    known = [Affinity(CAPACITY) for _ in range(3)]
    file, generation, now = Bindings(), 0, NOW
    for tick, (step, process, session, account) in history:
        now += tick
        affinity = known[process].at(generation)
        if step == "bind":
            affinity.bind(session, f"{account} of {generation}", now)
            assert affinity.account(session, now) == f"{account} of {generation}"
        elif step == "charge":
            before = affinity.owner(session)
            affinity.charge(session, account, Usage(10, 0), now)
            assert affinity.owner(session) == before
        elif step == "forget":
            affinity.forget_account(f"{account} of {generation}")
            assert f"{account} of {generation}" not in map(affinity.owner, SESSIONS)
        elif step == "switch":
            generation += 1
        else:
            file = affinity.told(now).merged(file.at(generation).plausible(now), CAPACITY)
            affinity.hear(file, now)
        assert len(affinity) <= CAPACITY
        owners = [affinity.at(generation).owner(session) for session in SESSIONS]
        assert all(owner is None or owner.endswith(f" of {generation}") for owner in owners)


@given(st.lists(st.tuples(processes, sessions, accounts), max_size=30))
def test_processes_that_tell_each_other_come_to_know_the_same(uses: list[tuple[int, str, str]]) -> None:
    known = [Affinity() for _ in range(3)]
    file = Bindings()
    for late, (process, session, account) in enumerate(uses):
        known[process].bind(session, account, NOW + late)
    for affinity in (*known, *known):
        file = affinity.told(NOW).merged(file)
        affinity.hear(file, NOW)
    last = {session: account for _, session, account in uses}
    for affinity in known:
        assert {session: affinity.owner(session) for session in last} == last


def test_a_ledger_that_is_merged_with_an_older_one_of_its_own_is_as_it_was() -> None:
    newer = Ledger({"work": Figures(2, 20, 10)}, 1, 7, Answer(3, "work", 10))
    older = Ledger({"work": Figures(1, 10, 0)}, 0, 0, Answer(2, "work", 10))
    assert newer.merged(older) == older.merged(newer) == newer.merged(EMPTY) == newer
