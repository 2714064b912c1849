"""Which model is served for which, and which ones the backend says it has."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.models import (
    MOST_MODELS,
    Models,
    catalog_of,
    codex_list,
    openai_list,
    openai_model,
    read_models,
    shown,
    union,
)


def test_without_a_wish_every_model_is_itself() -> None:
    for models in (Models(), read_models(""), read_models("  ")):
        assert models.alias("gpt-5") == "gpt-5"
        assert models.fallbacks("gpt-5") == ()
        assert not models.passes_through("gpt-5")


def test_an_alias_is_served_in_a_model_s_place() -> None:
    models = read_models("gpt-4o=gpt-5, o3 = gpt-5.5")
    assert models.alias("gpt-4o") == "gpt-5"
    assert models.alias("o3") == "gpt-5.5"
    assert models.alias("gpt-4o-mini") == "gpt-4o-mini"


def test_aliases_lead_on() -> None:
    models = read_models("a=b,b=c,c=d")
    assert [models.alias(name) for name in "abcd"] == ["d", "d", "d", "d"]


def test_a_chain_says_what_may_be_served_instead_and_in_which_order() -> None:
    models = read_models("gpt-6 > gpt-5.5 > gpt-5")
    assert models.fallbacks("gpt-6") == ("gpt-5.5", "gpt-5")
    assert models.alias("gpt-6") == "gpt-6"
    assert models.fallbacks("gpt-5.5") == ()


def test_a_model_may_go_out_under_the_host_s_own_key() -> None:
    models = read_models("gpt-image-1=passthrough")
    assert models.passes_through("gpt-image-1")
    assert not models.passes_through("gpt-5")
    assert models.alias("gpt-image-1") == "gpt-image-1"


def test_the_beginning_of_a_name_speaks_of_all_that_begin_so() -> None:
    models = read_models("gpt-4*=gpt-5,*=passthrough")
    assert models.alias("gpt-4.1-mini") == "gpt-5"
    assert models.alias("gpt-4") == "gpt-5"
    assert models.passes_through("o3")
    assert not models.passes_through("gpt-4.1")


@pytest.mark.parametrize(
    "order", [("gpt-*=a", "gpt-4*=b", "gpt-4o=c", "gpt-4o*=d"), ("gpt-4o=c", "gpt-4*=b", "gpt-*=a")]
)
def test_of_several_entries_the_longest_name_counts_whatever_their_order(order: tuple[str, ...]) -> None:
    models = read_models(",".join(order))
    assert [models.alias(name) for name in ("gpt-5", "gpt-4.1", "gpt-4o")] == ["a", "b", "c"]


def test_the_beginning_of_a_name_may_stand_for_a_model_that_it_fits() -> None:
    models = read_models("gpt-5*=gpt-5.5,gpt-6*>gpt-6-mini")
    assert models.alias("gpt-5") == models.alias("gpt-5.5") == "gpt-5.5"
    assert models.fallbacks("gpt-6") == ("gpt-6-mini",)
    assert models.fallbacks("gpt-6-mini") == ()


def test_an_alias_holds_for_a_chain_and_in_it() -> None:
    models = read_models("mine=gpt-6,gpt-6>old>gpt-5,old=gpt-5.5")
    assert models.fallbacks("mine") == models.fallbacks("gpt-6") == ("gpt-5.5", "gpt-5")


def test_no_alias_leads_to_the_host_s_own_key() -> None:
    models = read_models("mine=gpt-image-1,gpt-image-1=passthrough")
    assert models.alias("mine") == "gpt-image-1"
    assert not models.passes_through("mine")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a=b,", "empty entry"),
        (",", "empty entry"),
        ("a", "names no other model"),
        ("=b", "no name of a model"),
        ("a=", "no name of a model"),
        ("a>", "no name of a model"),
        (">b", "no name of a model"),
        ("a b=c", "no name of a model"),
        ("a=b c", "no name of a model"),
        ("a=b=c", "no name of a model"),
        ("a=b>c", "no name of a model"),
        ("a=b*", "no name of a model"),
        ("a*b=c", "no name of a model"),
        ("a>b*", "no name of a model"),
        ("a>b>passthrough", "no name of a model"),
        ("a=é", "no name of a model"),
        ("a=\x1b[0m", "no name of a model"),
        (f"a={'b' * 201}", "no name of a model"),
        ("a=b,a=c", "'a' is there twice"),
        ("a=b,a>c", "'a' is there twice"),
        ("a*=b,c=d,a*=e", "'a\\*' is there twice"),
        ("a>b>b", "names a model twice"),
        ("a>a", "names a model twice"),
        ("a=a", "in a circle"),
        ("a=b,b=a", "in a circle"),
        ("a=b,b=c,c=b", "in a circle"),
        ("gpt-4*=gpt-5,gpt-5*=gpt-4o", "in a circle"),
    ],
)
def test_nonsense_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_models(text)


@given(st.text(alphabet="ab*=>, ", max_size=24))
def test_what_is_taken_gives_an_answer_for_every_model(text: str) -> None:
    try:
        models = read_models(text)
    except ValueError:
        return
    for asked in ("a", "b", "ab", "ba"):
        served = models.alias(asked)
        assert models.alias(served) == served
        assert served not in models.fallbacks(asked)


def listed(*models: object) -> bytes:
    return json.dumps({"models": models}).encode()


def test_the_backend_s_models_are_shown_by_their_slugs_but_for_the_hidden_ones() -> None:
    answer = listed(
        {"slug": "gpt-5.5", "visibility": "list"},
        {"slug": "gpt-5", "display_name": "GPT-5"},
        {"slug": "internal", "visibility": "hide"},
        {"slug": "secret", "visibility": "none"},
        {"slug": "gpt-5", "visibility": "list"},
    )
    assert shown(catalog_of(answer)) == ("gpt-5.5", "gpt-5")


def test_a_name_that_could_steer_a_terminal_is_left_out() -> None:
    body = listed({"slug": "\x1b[0mgpt"}, {"slug": "m" * 201}, {"slug": ""}, {"slug": 7}, "gpt", None)
    assert catalog_of(body) == ()


def test_of_countless_models_few_are_shown() -> None:
    assert len(shown(catalog_of(listed(*({"slug": f"m{n}"} for n in range(1000)))))) == MOST_MODELS == 100


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}", b"[]", b"7", b'{"models": 7}', b'{"models": {"slug": "a"}}', b"\xff", b"[" * 100_000],
    ids=str,
)
def test_what_is_no_list_of_models_names_none(body: bytes) -> None:
    assert catalog_of(body) == ()


FULL = catalog_of(b'{"models": [{"slug":"big",  "w":1.0}, {"slug":"old","visibility":"hide","n":1.50}]}')
LESSER = catalog_of(b'{"models": [{"slug":"small"}, {"slug":"big","w":2}]}')


def test_of_a_model_that_two_accounts_have_the_first_one_s_object_counts() -> None:
    together = union([FULL, LESSER])
    assert [info.slug for info in together] == ["big", "old", "small"]
    assert together[0] == FULL[0]


def test_codex_gets_the_objects_byte_for_byte() -> None:
    assert codex_list(union([FULL, LESSER])) == (
        b'{"models":[{"slug":"big",  "w":1.0},{"slug":"old","visibility":"hide","n":1.50},{"slug":"small"}]}'
    )


def test_other_hosts_get_openai_s_list_without_the_hidden_ones() -> None:
    assert json.loads(openai_list(FULL)) == {
        "object": "list",
        "data": [{"id": "big", "object": "model", "created": 0, "owned_by": "openai"}],
    }
    assert json.loads(openai_model("old")) == {"id": "old", "object": "model", "created": 0, "owned_by": "openai"}
