"""The decision: every combination against the table, and what no combination may do."""

from __future__ import annotations

import asyncio
import itertools
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import AccountAssociationMode as Mode
from models import (
    BindingMethod,
    LoginResolution,
    MatchField,
    Role,
    User,
    database,
)
from services import clock, phones
from services.account_fields import NewAccount
from services.accounts import Accounts
from services.audit import Audit
from services.binding import (
    LOG_IN,
    RULES,
    Account,
    BindExisting,
    BindNew,
    Decision,
    Facts,
    Link,
    Outcome,
    Rules,
    Wish,
    decide,
)
from services.callers import Caller, Origin
from services.language import Language
from services.passwords import Passwords

DOCS = Path(__file__).parents[2] / "docs" / "binding.md"

HERE, ELSEWHERE = "ww1e933be11645237c", "ww7f3a0c5d9e2b4816"
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)

# What is true of a login, and what then becomes of it: the first row that fits decides.
# A row says only what it looks at. The same rows stand in docs/binding.md.
Row = tuple[dict[str, Any], str, str]
TABLE: list[Row] = [
    ({"linked": "active"}, "LOG_IN", "identity.linked"),
    ({"linked": "disabled"}, "ACCOUNT_DISABLED", "identity.account_disabled"),
    (
        {"mode": Mode.FIELD_MATCHING, "found": "two"},
        "ACCOUNT_CONFLICT",
        "field_matching.many",
    ),
    (
        {"mode": Mode.FIELD_MATCHING, "found": "one", "disabled": True},
        "ACCOUNT_DISABLED",
        "field_matching.account_disabled",
    ),
    (
        {"mode": Mode.FIELD_MATCHING, "found": "one", "of_this_corp": True},
        "ALREADY_LINKED",
        "field_matching.holds_this_corp",
    ),
    (
        {"mode": Mode.FIELD_MATCHING, "found": "one", "privileged": True},
        "ACCOUNT_CONFLICT",
        "field_matching.privileged",
    ),
    (
        {
            "mode": Mode.FIELD_MATCHING,
            "found": "one",
            "of_another_corp": True,
            "across_corps": False,
        },
        "ACCOUNT_CONFLICT",
        "field_matching.other_corp",
    ),
    (
        {"mode": Mode.FIELD_MATCHING, "found": "one"},
        "LINK_AND_LOG_IN",
        "field_matching.one",
    ),
    (
        {"mode": Mode.FIELD_MATCHING, "found": "nothing told"},
        "PROFILE_INSUFFICIENT",
        "field_matching.nothing_told",
    ),
    ({"mode": Mode.ASK_TO_BIND}, "ASK_TO_BIND", "ask_to_bind.asked"),
    ({"login_only": True}, "ACCOUNT_NOT_FOUND", "creation.login_only"),
    ({"sign_up": False}, "ACCOUNT_NOT_FOUND", "creation.sign_up_off"),
    ({}, "CREATE_ACCOUNT", "creation.allowed"),
]

STATES = ("disabled", "of_this_corp", "privileged", "of_another_corp")


def states() -> Iterator[dict[str, bool]]:
    for values in itertools.product((False, True), repeat=len(STATES)):
        yield dict(zip(STATES, values, strict=True))


def first_that_fits(table: list[Row], case: dict[str, Any]) -> tuple[str, str]:
    for wanted, outcome, rule in table:
        if all(case[name] == value for name, value in wanted.items()):
            return outcome, rule
    raise AssertionError(case)


def account(id: uuid.UUID, case: dict[str, Any]) -> Account:
    corps = {HERE} if case["of_this_corp"] else set[str]()
    if case["of_another_corp"]:
        corps.add(ELSEWHERE)
    return Account(
        id,
        active=not case["disabled"],
        privileged=case["privileged"],
        corps=frozenset(corps),
    )


def told(decision: Decision) -> tuple[str, str]:
    if decision.refusal:
        assert decision.outcome is Outcome.REFUSE
        return decision.refusal.code, decision.rule
    return decision.outcome, decision.rule


@pytest.mark.parametrize("linked", ["no", "active", "disabled"])
@pytest.mark.parametrize("found", ["nothing told", "none", "one", "one twice", "two"])
@pytest.mark.parametrize("sign_up", [True, False])
@pytest.mark.parametrize("login_only", [True, False])
@pytest.mark.parametrize("mode", list(Mode))
def test_every_login_is_decided_by_the_first_row_that_fits(
    mode: Mode, login_only: bool, sign_up: bool, found: str, linked: str
) -> None:
    for state, across_corps in itertools.product(states(), (True, False)):
        case = state | {
            "mode": mode,
            "login_only": login_only,
            "sign_up": sign_up,
            # Two fields that find the same account find one.
            "found": "one" if found == "one twice" else found,
            "linked": linked,
            "across_corps": across_corps,
        }
        one, other = account(ONE, state), account(OTHER, state)
        rules = Rules(
            mode,
            login_only=login_only,
            match_fields=frozenset({MatchField.EMAIL}),
            binding_methods=tuple(BindingMethod),
            match_across_corps=across_corps,
        )
        facts = Facts(
            HERE,
            sign_up,
            linked=Account(OTHER, active=linked == "active")
            if linked != "no"
            else None,
            # The userid is always told, and is no field that this source compares.
            told=frozenset({MatchField.USERNAME})
            | (set() if found == "nothing told" else {MatchField.EMAIL}),
            candidates={
                "one": (one,),
                "one twice": (one, one),
                "two": (one, other),
            }.get(found, ()),
        )

        decision = decide(rules, facts)

        assert told(decision) == first_that_fits(TABLE, case), case
        check_result(decision, may_create=sign_up and not login_only)
        assert decision == decide(rules, facts)


def check_result(decision: Decision, *, may_create: bool) -> None:
    """What goes with each outcome."""
    expected = {
        Outcome.LOG_IN: (OTHER, LoginResolution.LINKED, False),
        Outcome.LINK_AND_LOG_IN: (ONE, LoginResolution.MATCHED, False),
        Outcome.CREATE_ACCOUNT: (None, LoginResolution.CREATED, True),
        Outcome.ASK_TO_BIND: (None, None, may_create),
    }
    if decision.outcome is Outcome.REFUSE:
        assert decision.resolution is None
        return
    assert expected[decision.outcome] == (
        decision.account_id,
        decision.resolution,
        decision.can_create_account,
    )


# ---------------------------------------------------------- what people wish for

BIND_EXISTING: list[Row] = [
    ({"asks": False}, "METHOD_NOT_ALLOWED", "ask_to_bind.off"),
    ({"allowed": False}, "METHOD_NOT_ALLOWED", "ask_to_bind.method_not_allowed"),
    ({"proven": False}, "ASK_TO_BIND", "ask_to_bind.asked"),
    ({"disabled": True}, "ACCOUNT_DISABLED", "binding.account_disabled"),
    ({"linked": True}, "ALREADY_LINKED", "identity.linked_meanwhile"),
    ({"of_this_corp": True}, "ALREADY_LINKED", "binding.holds_this_corp"),
    ({}, "LINK_AND_LOG_IN", "binding.bound"),
]
BIND_NEW: list[Row] = [
    ({"asks": False}, "METHOD_NOT_ALLOWED", "ask_to_bind.off"),
    ({"linked": True}, "ALREADY_LINKED", "identity.linked_meanwhile"),
    ({"login_only": True}, "ACCOUNT_NOT_FOUND", "creation.login_only"),
    ({"sign_up": False}, "ACCOUNT_NOT_FOUND", "creation.sign_up_off"),
    ({}, "CREATE_ACCOUNT", "creation.allowed"),
]
LINK: list[Row] = [
    ({"disabled": True}, "ACCOUNT_DISABLED", "linking.account_disabled"),
    ({"linked": "mine"}, "LOG_IN", "linking.linked_already"),
    ({"linked": "somebody's"}, "ALREADY_LINKED", "linking.somebody_elses"),
    ({"of_this_corp": True}, "ALREADY_LINKED", "linking.holds_this_corp"),
    ({}, "LINK_AND_LOG_IN", "linking.linked"),
]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_every_existing_account_that_is_to_be_bound(
    mode: Mode, allowed: bool, proven: bool, linked: bool
) -> None:
    method = BindingMethod.EMAIL_PASSWORD
    for state in states():
        asks = mode is Mode.ASK_TO_BIND
        case = state | {"asks": asks, "allowed": allowed, "proven": proven}
        rules = Rules(mode, binding_methods=(method,) if allowed else ())
        facts = Facts(HERE, True, linked=Account(OTHER) if linked else None)
        mine = account(ONE, state) if proven else None

        decision = decide(rules, facts, BindExisting(method, mine))

        expected = first_that_fits(BIND_EXISTING, case | {"linked": linked})
        assert told(decision) == expected, case
        if decision.outcome is Outcome.LINK_AND_LOG_IN:
            assert decision.account_id == ONE
            assert decision.resolution is LoginResolution.BOUND


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("login_only", [True, False])
@pytest.mark.parametrize("sign_up", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_every_new_account_that_is_wished_for(
    mode: Mode, login_only: bool, sign_up: bool, linked: bool
) -> None:
    case = {
        "asks": mode is Mode.ASK_TO_BIND,
        "login_only": login_only,
        "sign_up": sign_up,
        "linked": linked,
    }
    facts = Facts(HERE, sign_up, linked=Account(OTHER) if linked else None)

    decision = decide(Rules(mode, login_only=login_only), facts, BindNew())

    assert told(decision) == first_that_fits(BIND_NEW, case)


@pytest.mark.parametrize("linked", ["no", "mine", "somebody's"])
def test_every_link_of_ones_own(linked: str) -> None:
    for state in states():
        holder = {"mine": Account(ONE), "somebody's": Account(OTHER)}.get(linked)
        wish = Link(account(ONE, state))

        decision = decide(Rules(), Facts(HERE, False, linked=holder), wish)

        case = state | {"linked": linked}
        assert told(decision) == first_that_fits(LINK, case), case
        assert decision.account_id == ONE
        assert decision.resolution is None


# ---------------------------------------------------------------- never, whatever

accounts = st.builds(
    Account,
    id=st.uuids(),
    active=st.booleans(),
    privileged=st.booleans(),
    corps=st.frozensets(st.sampled_from([HERE, ELSEWHERE])),
)
all_rules = st.builds(
    Rules,
    mode=st.sampled_from(Mode),
    login_only=st.booleans(),
    match_fields=st.frozensets(st.sampled_from(MatchField)),
    binding_methods=st.lists(st.sampled_from(BindingMethod)).map(tuple),
    match_across_corps=st.booleans(),
)
all_facts = st.builds(
    Facts,
    corp_id=st.just(HERE),
    allow_sign_up=st.booleans(),
    linked=st.none() | accounts,
    told=st.frozensets(st.sampled_from(MatchField)),
    candidates=st.lists(accounts, max_size=3).map(tuple),
)
wishes: st.SearchStrategy[Wish] = (
    st.just(LOG_IN)
    | st.just(BindNew())
    | st.builds(Link, accounts)
    | st.builds(BindExisting, st.sampled_from(BindingMethod), st.none() | accounts)
)


names = st.sampled_from(["amy", "bea", "", " "])
owners: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    verified=st.booleans(),
    email=names.map(lambda name: f"{name}@example.com" if name.strip() else None),
    phone=st.sampled_from(["+8613800000001", "+8613800000002", None]),
)
tellings: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    emails=st.lists(
        names.map(lambda name: f"{name.upper()}@Example.com" if name.strip() else name)
    ),
    phone=st.sampled_from(["138 0000 0001", "13800000002", "1", "", None]),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(owner=owners, telling=tellings, mode=st.sampled_from(Mode))
def test_an_unverified_field_never_links(
    database_url: str, owner: dict[str, Any], telling: dict[str, Any], mode: Mode
) -> None:
    """Registered beforehand, an address that is not theirs catches nobody's link."""
    found = asyncio.run(candidates(database_url, owner, telling))

    fields = frozenset({MatchField.EMAIL, MatchField.PHONE})
    facts = Facts(HERE, True, told=fields, candidates=tuple(map(Account, found)))
    decision = decide(Rules(mode, match_fields=fields), facts)

    told_emails = {email.casefold() for email in telling["emails"]}
    told_phone = phones.normalise(telling["phone"])
    same = owner["email"] in told_emails or (
        told_phone is not None and owner["phone"] == told_phone
    )
    matched = mode is Mode.FIELD_MATCHING and owner["verified"] and same
    linked = decision.outcome is Outcome.LINK_AND_LOG_IN
    assert linked is matched, (owner, telling)


async def candidates(
    database_url: str, owner: dict[str, Any], telling: dict[str, Any]
) -> list[uuid.UUID]:
    """Whom the stored accounts match: one, with addresses verified or not."""
    audit, passwords = Audit(clock=clock.now), Passwords()
    accounts = Accounts(audit=audit, clock=clock.now, passwords=passwords)
    fields = [MatchField.EMAIL, MatchField.PHONE]
    async with database.opened(database_url):
        await User.all().delete()
        caller = Caller(Origin("r", "203.0.113.7"), role=Role.OWNER)
        new = NewAccount(
            email=owner["email"],
            email_verified=owner["verified"] and owner["email"] is not None,
            phone=owner["phone"],
            phone_verified=owner["verified"] and owner["phone"] is not None,
        )
        await accounts.create(caller, new)
        found = await accounts.candidates(fields, **telling)
    passwords.close()
    return [user.id for user in found]


@given(all_rules, all_facts)
def test_a_privileged_account_is_never_matched(rules: Rules, facts: Facts) -> None:
    decision = decide(rules, facts)

    if decision.resolution is LoginResolution.MATCHED:
        [matched] = {
            each for each in facts.candidates if each.id == decision.account_id
        }
        assert not matched.privileged
        assert matched.active
        assert HERE not in matched.corps


@given(all_rules, all_facts)
def test_two_candidates_never_link(rules: Rules, facts: Facts) -> None:
    decision = decide(rules, facts)

    if len({each.id for each in facts.candidates}) > 1:
        assert decision.outcome is not Outcome.LINK_AND_LOG_IN


@given(all_rules, all_facts, wishes)
def test_login_only_never_creates(rules: Rules, facts: Facts, wish: Wish) -> None:
    decision = decide(rules, facts, wish)

    if rules.login_only or not facts.allow_sign_up:
        assert decision.outcome is not Outcome.CREATE_ACCOUNT
        assert not decision.can_create_account


@given(all_rules, all_facts)
def test_nothing_known_to_match_with_never_creates(rules: Rules, facts: Facts) -> None:
    decision = decide(rules, facts)

    matching = rules.mode is Mode.FIELD_MATCHING
    if matching and not facts.told & rules.match_fields:
        assert decision.outcome is not Outcome.CREATE_ACCOUNT


@given(all_rules, all_facts, wishes)
def test_the_same_input_has_the_same_outcome(
    rules: Rules, facts: Facts, wish: Wish
) -> None:
    assert decide(rules, facts, wish) == decide(rules, facts, wish)


@given(all_rules, all_facts, st.randoms())
def test_the_order_in_which_accounts_are_found_decides_nothing(
    rules: Rules, facts: Facts, random: Any
) -> None:
    shuffled = list(facts.candidates)
    random.shuffle(shuffled)
    other = Facts(
        facts.corp_id, facts.allow_sign_up, facts.linked, facts.told, tuple(shuffled)
    )

    assert decide(rules, facts) == decide(rules, other)


@given(all_rules, all_facts, wishes)
def test_an_account_is_linked_only_where_it_was_found_or_proven(
    rules: Rules, facts: Facts, wish: Wish
) -> None:
    decision = decide(rules, facts, wish)

    if decision.outcome is Outcome.LINK_AND_LOG_IN:
        vouched = {each.id for each in facts.candidates} if wish is LOG_IN else set()
        proven = getattr(wish, "account", None)
        assert decision.account_id in vouched | ({proven.id} if proven else set())
        assert facts.linked is None
    assert all(step.rule in RULES for step in decision.steps)
    assert decision.steps
    assert (decision.refusal is None) is (decision.outcome is not Outcome.REFUSE)


# ---------------------------------------------------------------------- the words


def test_the_documented_rules_are_the_rules() -> None:
    text = DOCS.read_text("utf-8").split("## The rules by their names", 1)[1]
    text = text.split("Audit events of section 6", 1)[0]
    documented = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.MULTILINE)

    assert documented == list(RULES), "docs/binding.md, 'The rules by their names'"


def test_the_documented_table_is_the_one_that_is_tested() -> None:
    text = DOCS.read_text("utf-8")
    for heading, table in {
        "Logging in": TABLE,
        "Binding an existing account": BIND_EXISTING,
        "Binding a new account": BIND_NEW,
        "Linking to one's own account": LINK,
    }.items():
        section = text.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
        rows = [line for line in section.splitlines() if line.startswith("|")][2:]
        shown = [re.findall(r"`([A-Za-z_.]+)`", row)[-2:] for row in rows]
        assert shown == [[outcome, rule] for _, outcome, rule in table], heading


def test_every_rule_is_told_in_both_languages() -> None:
    for rule, text in RULES.items():
        assert text(Language.EN) != text(Language.ZH), rule
