"""What is saved, but worth a look: the settings of a source that often go wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from models import IdentitySource, MatchField
from services.account_association import AccountAssociation
from services.language import Text

SCHEMA_UNLIKE = Text(
    "The schemas that WeCom's console shows begin with wwauth: "
    "with another one WeCom may not open.",
    "企业微信管理后台给出的 schema 以 wwauth 开头，"
    "使用其他 schema 可能无法唤起企业微信。",
)
SCHEMA_MISMATCH = Text(
    "By its CorpID and AgentID the schema would be {expected}. "
    "Please compare it with the one that WeCom's console shows.",
    "按 CorpID 与 AgentID 推断，schema 应为 {expected}，请与企业微信管理后台核对。",
)
MATCHES_USERNAME = Text(
    "The corp's administrators choose userids: whoever may set one can take over "
    "the account of that username.",
    "企业管理员可以指定成员的 userid，因此能够接管同名用户的账号。",
)
MATCHES_ACROSS_CORPS = Text(
    "Members of this corp may log in to accounts that belong to another corp.",
    "本企业的成员可能登录到属于其他企业的账号。",
)
TOLD_NEITHER = Text(
    "WeCom apps made since June 2022 are told neither e-mail nor phone, and then "
    "nobody can be matched. Please run the connection test with a member.",
    "2022 年 6 月之后创建的企业微信应用无法获取邮箱和手机号，届时无法匹配任何人，"
    "请指定一名成员运行连接测试。",
)


@dataclass(frozen=True, slots=True)
class Caution:
    """A remark on what was saved: its `path` is below `input`, in camelCase."""

    path: tuple[str, ...]
    text: Text
    values: dict[str, object] = field(default_factory=dict[str, object])


def of(source: IdentitySource, sent: Collection[str]) -> list[Caution]:
    """
    What to say of `source` to whoever has just saved it.

    :param sent: the input's fields, in camelCase: of others nothing is said.
    """
    found: list[Caution] = []
    if "schema" in sent or "agentId" in sent:
        found += of_schema(source, "schema" if "schema" in sent else "agentId")
    if "accountAssociation" in sent:
        found += _of_association(AccountAssociation.of(source))
    return found


def of_schema(source: IdentitySource, path: str = "schema") -> list[Caution]:
    """
    Whether the schema looks like those seen so far: an observation, never a rule.

    They are `wwauth`, the CorpID without its `ww`, and six digits of the AgentID.
    """
    schema = source.schema.casefold()
    corp = source.corp_id.removeprefix("ww")
    expected = f"wwauth{corp}{source.agent_id[-6:].zfill(6)}"
    if not schema.startswith("wwauth"):
        return [Caution((path,), SCHEMA_UNLIKE)]
    if schema != expected.casefold():
        return [Caution((path,), SCHEMA_MISMATCH, {"expected": expected})]
    return []


def _of_association(association: AccountAssociation) -> Iterator[Caution]:
    fields = ("accountAssociation", "matchFields")
    if association.matches_by(MatchField.USERNAME):
        yield Caution(fields, MATCHES_USERNAME)
    contacts = {MatchField.EMAIL, MatchField.PHONE}
    others = set(MatchField) - contacts
    if association.matches_by(*contacts) and not association.matches_by(*others):
        yield Caution(fields, TOLD_NEITHER)
    if association.match_across_corps and association.matches_by(*MatchField):
        yield Caution(("accountAssociation", "matchAcrossCorps"), MATCHES_ACROSS_CORPS)
