"""
Which account a WeCom member is: one pure decision over values.

Nothing here reads a database or asks WeCom. A login, a binding, a link and a preview
gather the same facts and put them to the same table: `docs/binding.md` shows it,
`tests/services/test_binding.py` goes through every combination of it.

In every table the first row that fits decides, and names the rule that did.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

from models import AccountAssociationMode, BindingMethod, LoginResolution, MatchField
from services import refusals
from services.language import Text
from services.refusals import Refusal


class Outcome(StrEnum):
    LOG_IN = "LOG_IN"
    LINK_AND_LOG_IN = "LINK_AND_LOG_IN"
    CREATE_ACCOUNT = "CREATE_ACCOUNT"
    ASK_TO_BIND = "ASK_TO_BIND"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class Account:
    """What decides about an account, and nothing else of it."""

    id: uuid.UUID
    active: bool = True
    privileged: bool = False
    # The corps of which it holds an identity.
    corps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rules:
    """How a source associates members with accounts."""

    mode: AccountAssociationMode = AccountAssociationMode.NONE
    login_only: bool = False
    match_fields: frozenset[MatchField] = frozenset()
    binding_methods: tuple[BindingMethod, ...] = ()
    match_across_corps: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What is known when a decision is made.

    :param linked: the account that holds the member's identity, if any does.
    :param told: the configured fields of which WeCom told a value.
    :param candidates: the accounts that any of these values matched.
    """

    corp_id: str
    allow_sign_up: bool
    linked: Account | None = None
    told: frozenset[MatchField] = frozenset()
    candidates: tuple[Account, ...] = ()


@dataclass(frozen=True, slots=True)
class LogIn:
    """Somebody logs in with WeCom, or an administrator imagines so."""


@dataclass(frozen=True, slots=True)
class BindExisting:
    """
    Somebody would like to bind an account of theirs.

    :param account: whose password was right; None as long as nobody has looked.
    """

    method: BindingMethod
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class BindNew:
    """Somebody who was asked would like a new account."""


@dataclass(frozen=True, slots=True)
class Link:
    """Somebody who is logged in to `account` would like to link a member to it."""

    account: Account


Wish = LogIn | BindExisting | BindNew | Link

LOG_IN = LogIn()


@dataclass(frozen=True, slots=True)
class Step:
    """A rule that was looked at, by the name that audit events carry."""

    rule: str

    @property
    def text(self) -> Text:
        return RULES[self.rule]


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The outcome, and the rules that led to it; the last one decided.

    :param account_id: the one account that it is about, refused ones too.
    :param resolution: how a login found the account; None where nobody logs in by it.
    """

    outcome: Outcome
    steps: tuple[Step, ...]
    account_id: uuid.UUID | None = None
    refusal: type[Refusal] | None = None
    resolution: LoginResolution | None = None
    can_create_account: bool = False

    @property
    def rule(self) -> str:
        return self.steps[-1].rule


RULES = {
    "app.disabled": Text("The app is disabled.", "应用已停用。"),
    "source.disabled": Text("The source is disabled.", "身份源已停用。"),
    "source.not_associated": Text(
        "The source is not associated with the app.", "身份源未与该应用关联。"
    ),
    "identity.linked": Text(
        "The member is linked to an account, which is active.", "该成员已绑定有效账号。"
    ),
    "identity.account_disabled": Text(
        "The account that the member is linked to is disabled.",
        "该成员绑定的账号已停用。",
    ),
    "identity.not_linked": Text(
        "The member is not linked to any account yet.", "该成员尚未绑定账号。"
    ),
    "identity.linked_meanwhile": Text(
        "The member was linked to an account in the meantime.", "该成员已被绑定。"
    ),
    "creation.allowed": Text(
        "A new account is created: the source is not login-only, and the app allows "
        "sign-up.",
        "将创建新账号：身份源未启用仅登录模式，且应用允许注册。",
    ),
    "creation.login_only": Text(
        "No account is created: the source is in login-only mode.",
        "不会创建账号：身份源处于仅登录模式。",
    ),
    "creation.sign_up_off": Text(
        "No account is created: the app does not allow sign-up.",
        "不会创建账号：应用不允许注册。",
    ),
    "field_matching.one": Text(
        "Exactly one account matches; the member is linked to it.",
        "恰有一个账号匹配，将与该成员绑定。",
    ),
    "field_matching.many": Text(
        "Several accounts match, so none is taken.", "匹配到多个账号，不做选择。"
    ),
    "field_matching.account_disabled": Text(
        "The account that matches is disabled.", "匹配的账号已停用。"
    ),
    "field_matching.holds_this_corp": Text(
        "The account that matches is linked to another member of this corp.",
        "匹配的账号已绑定本企业的其他成员。",
    ),
    "field_matching.privileged": Text(
        "The account that matches has a role above MEMBER: such are never matched.",
        "匹配的账号拥有高于 MEMBER 的角色，不可自动匹配。",
    ),
    "field_matching.other_corp": Text(
        "The account that matches belongs to another corp, and this source does not "
        "match across corps.",
        "匹配的账号属于其他企业，而身份源不允许跨企业匹配。",
    ),
    "field_matching.nothing_told": Text(
        "WeCom told none of the fields to match by, so nothing is created: everybody "
        "would get a second account.",
        "企业微信未提供任何匹配字段，因此不创建账号，以免产生重复账号。",
    ),
    "field_matching.none": Text("No account matches.", "没有匹配的账号。"),
    "ask_to_bind.asked": Text(
        "The person is asked to bind an account.", "将询问用户绑定账号。"
    ),
    "ask_to_bind.off": Text(
        "The source does not ask to bind any more.", "身份源已不再询问绑定。"
    ),
    "ask_to_bind.method_not_allowed": Text(
        "The source does not allow this method of binding.", "身份源不允许此绑定方式。"
    ),
    "binding.bound": Text(
        "The person proved the account to be theirs.", "用户已证明账号归其所有。"
    ),
    "binding.account_disabled": Text(
        "The account that the person proved to be theirs is disabled.",
        "用户所证明的账号已停用。",
    ),
    "binding.holds_this_corp": Text(
        "The account is linked to another member of this corp.",
        "该账号已绑定本企业的其他成员。",
    ),
    "linking.linked": Text(
        "The person links the member to their own account.",
        "用户将成员绑定至本人账号。",
    ),
    "linking.linked_already": Text(
        "The member is linked to this very account already.", "该成员已绑定此账号。"
    ),
    "linking.account_disabled": Text(
        "The account that the person is logged in to is disabled.",
        "用户当前登录的账号已停用。",
    ),
    "linking.holds_this_corp": Text(
        "The person's own account is linked to another member of this corp.",
        "本人账号已绑定本企业的其他成员。",
    ),
    "linking.somebody_elses": Text(
        "The member is linked to somebody else's account.", "该成员已绑定他人账号。"
    ),
}


def decide(rules: Rules, facts: Facts, wish: Wish = LOG_IN) -> Decision:
    """What becomes of a member and a wish (binding rules 3, 4 and 6)."""
    if isinstance(wish, LogIn):
        return _log_in(rules, facts)
    if isinstance(wish, Link):
        return _link_own(facts, wish.account)
    if rules.mode is not AccountAssociationMode.ASK_TO_BIND:
        return _refuse(refusals.MethodNotAllowed, "ask_to_bind.off")
    if isinstance(wish, BindNew):
        return _bind_new(rules, facts)
    return _bind_existing(rules, facts, wish)


def _log_in(rules: Rules, facts: Facts) -> Decision:
    if facts.linked is not None:
        return _linked(facts.linked)
    steps = ("identity.not_linked",)
    if rules.mode is AccountAssociationMode.FIELD_MATCHING:
        return _match(steps, rules, facts)
    if rules.mode is AccountAssociationMode.ASK_TO_BIND:
        rule, may = _creation(rules, facts)
        return Decision(
            Outcome.ASK_TO_BIND,
            _steps(*steps, rule, "ask_to_bind.asked"),
            can_create_account=may,
        )
    return _create(steps, rules, facts)


def _bind_new(rules: Rules, facts: Facts) -> Decision:
    """*May create* is asked anew: the ticket says what was so when it was issued."""
    if facts.linked is not None:
        return _refuse(refusals.AlreadyLinked, "identity.linked_meanwhile")
    return _create(("ask_to_bind.asked",), rules, facts)


def _bind_existing(rules: Rules, facts: Facts, wish: BindExisting) -> Decision:
    if wish.method not in rules.binding_methods:
        return _refuse(refusals.MethodNotAllowed, "ask_to_bind.method_not_allowed")
    account = wish.account
    if account is None:
        return Decision(Outcome.ASK_TO_BIND, _steps("ask_to_bind.asked"))
    if not account.active:
        rule = "binding.account_disabled"
        return _refuse(refusals.AccountDisabled, rule, account=account)
    if facts.linked is not None:
        rule = "identity.linked_meanwhile"
        return _refuse(refusals.AlreadyLinked, rule, account=account)
    if facts.corp_id in account.corps:
        rule = "binding.holds_this_corp"
        return _refuse(refusals.AlreadyLinked, rule, account=account)
    return _link(account, LoginResolution.BOUND, "ask_to_bind.asked", "binding.bound")


def _link_own(facts: Facts, account: Account) -> Decision:
    if not account.active:
        rule = "linking.account_disabled"
        return _refuse(refusals.AccountDisabled, rule, account=account)
    if facts.linked is not None and facts.linked.id == account.id:
        steps = _steps("linking.linked_already")
        return Decision(Outcome.LOG_IN, steps, account_id=account.id)
    if facts.linked is not None:
        rule = "linking.somebody_elses"
        return _refuse(refusals.AlreadyLinked, rule, account=account)
    if facts.corp_id in account.corps:
        rule = "linking.holds_this_corp"
        return _refuse(refusals.AlreadyLinked, rule, account=account)
    return _link(account, None, "identity.not_linked", "linking.linked")


def _linked(account: Account) -> Decision:
    if not account.active:
        rule = "identity.account_disabled"
        return _refuse(refusals.AccountDisabled, rule, account=account)
    return Decision(
        Outcome.LOG_IN,
        _steps("identity.linked"),
        account_id=account.id,
        resolution=LoginResolution.LINKED,
    )


def _match(steps: tuple[str, ...], rules: Rules, facts: Facts) -> Decision:
    distinct = {account.id: account for account in facts.candidates}
    if len(distinct) > 1:
        return _refuse(refusals.AccountConflict, *steps, "field_matching.many")
    for account in distinct.values():
        return _matched(steps, rules, facts, account)
    if not facts.told & rules.match_fields:
        rule = "field_matching.nothing_told"
        return _refuse(refusals.ProfileInsufficient, *steps, rule)
    return _create((*steps, "field_matching.none"), rules, facts)


def _matched(
    steps: tuple[str, ...], rules: Rules, facts: Facts, account: Account
) -> Decision:
    if not account.active:
        rule = "field_matching.account_disabled"
        return _refuse(refusals.AccountDisabled, *steps, rule, account=account)
    if facts.corp_id in account.corps:
        rule = "field_matching.holds_this_corp"
        return _refuse(refusals.AlreadyLinked, *steps, rule, account=account)
    # Whoever may write a mailbox into a WeCom profile would be an administrator here.
    if account.privileged:
        rule = "field_matching.privileged"
        return _refuse(refusals.AccountConflict, *steps, rule, account=account)
    if account.corps and not rules.match_across_corps:
        rule = "field_matching.other_corp"
        return _refuse(refusals.AccountConflict, *steps, rule, account=account)
    return _link(account, LoginResolution.MATCHED, *steps, "field_matching.one")


def _creation(rules: Rules, facts: Facts) -> tuple[str, bool]:
    if rules.login_only:
        return "creation.login_only", False
    if not facts.allow_sign_up:
        return "creation.sign_up_off", False
    return "creation.allowed", True


def _create(steps: tuple[str, ...], rules: Rules, facts: Facts) -> Decision:
    rule, may = _creation(rules, facts)
    if not may:
        return _refuse(refusals.AccountNotFound, *steps, rule)
    return Decision(
        Outcome.CREATE_ACCOUNT,
        _steps(*steps, rule),
        resolution=LoginResolution.CREATED,
        can_create_account=True,
    )


def _link(
    account: Account, resolution: LoginResolution | None, *rules: str
) -> Decision:
    return Decision(
        Outcome.LINK_AND_LOG_IN,
        _steps(*rules),
        account_id=account.id,
        resolution=resolution,
    )


def _refuse(
    refusal: type[Refusal], *rules: str, account: Account | None = None
) -> Decision:
    return Decision(
        Outcome.REFUSE,
        _steps(*rules),
        account_id=account.id if account else None,
        refusal=refusal,
    )


def _steps(*rules: str) -> tuple[Step, ...]:
    return tuple(map(Step, rules))
