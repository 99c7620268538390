"""
What WeCom's answers say of a source's settings: one pure reading for each check.

A check that failed says where to mend it. One whose question was not asked, or that an
earlier failure leaves open, is skipped: nothing is claimed that WeCom did not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import wecom
from models import IdentitySource, MatchField
from services import cautions, problems
from services.account_association import AccountAssociation
from services.language import Language, Text
from services.members import BARRED
from services.problems import UNTRUSTED_ADDRESS

# As WeCom spells them.
TELLABLE = (
    "userid",
    "name",
    "alias",
    "position",
    "departments",
    "email",
    "biz_mail",
    "mobile",
    "avatar",
)
CONTACTS = {
    MatchField.EMAIL: {"email", "biz_mail"},
    MatchField.PHONE: {"mobile"},
}


class ConnectionCheckName(StrEnum):
    REACHABLE = "REACHABLE"
    CREDENTIALS = "CREDENTIALS"
    TRUSTED_IP = "TRUSTED_IP"
    AGENT = "AGENT"
    SCHEMA = "SCHEMA"
    PROFILE_FIELDS = "PROFILE_FIELDS"


class ConnectionCheckStatus(StrEnum):
    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"


Name = ConnectionCheckName
Status = ConnectionCheckStatus


class Unasked(StrEnum):
    """Why WeCom was not asked."""

    SECRET_LOST = "SECRET_LOST"
    REFUSED_BEFORE = "REFUSED_BEFORE"
    FAILED_BEFORE = "FAILED_BEFORE"
    NO_MEMBER = "NO_MEMBER"


@dataclass(frozen=True, slots=True)
class Answers:
    """What WeCom said to each question, or why it was not asked; None is its yes."""

    token: wecom.WecomError | Unasked | None
    agent: wecom.AgentInfo | wecom.WecomError | Unasked = Unasked.FAILED_BEFORE
    member: wecom.Profile | wecom.WecomError | Unasked = Unasked.FAILED_BEFORE

    @property
    def refusals(self) -> list[wecom.Refused]:
        said = (self.token, self.agent, self.member)
        return [answer for answer in said if isinstance(answer, wecom.Refused)]

    @property
    def trusts_address(self) -> bool:
        """Whatever else it says of the app, WeCom looks at the address first."""
        if self.address_refused:
            return False
        return isinstance(self.agent, wecom.AgentInfo | wecom.Misconfigured)

    @property
    def address_refused(self) -> wecom.Misconfigured | None:
        """The refusal of the server's address, whichever question met it."""
        for refusal in self.refusals:
            match refusal:
                case wecom.Misconfigured(errcode=problems.UNTRUSTED_ADDRESS):
                    return refusal
                case _:
                    continue
        return None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, in the administrator's language."""

    name: ConnectionCheckName
    status: ConnectionCheckStatus
    message: str
    hint: str | None = None
    wecom_error_code: int | None = None


NOT_ASKED = Text(
    "Not looked at: an earlier check failed.", "前面的检查未通过，未检查。"
)
WECOM_NOT_ASKED = Text("WeCom was not asked.", "未询问企业微信。")
REACHED = Text("WeCom answers.", "可以访问企业微信。")
NOT_REACHED = Text("WeCom could not be reached.", "无法访问企业微信。")
NOT_UNDERSTOOD = Text(
    "Something answers, but not as WeCom does.", "有应答，但并非企业微信的应答。"
)
OPEN_THE_WAY = Text(
    "Allow the server to reach HEFU_WECOM_URL by HTTPS: firewall, DNS, certificates. "
    "Proxies named in the environment are not used.",
    "请允许服务器通过 HTTPS 访问 HEFU_WECOM_URL：检查防火墙、DNS 与证书；"
    "环境变量中的代理不会被使用。",
)
GRANTED = Text("CorpID and secret are right.", "企业 ID 与 Secret 正确。")
REFUSED = Text("WeCom refuses CorpID and secret.", "企业微信拒绝了企业 ID 与 Secret。")
REFUSED_BEFORE = Text(
    "WeCom refused CorpID and secret less than a minute ago. It was not asked again: "
    "a wrong secret sent repeatedly has it block this server's address.",
    "不到一分钟前企业微信拒绝了企业 ID 与 Secret，此次未再询问："
    "反复提交错误的 Secret 会导致本服务器 IP 被封禁。",
)
SECRET_LOST = Text(
    "The stored secret cannot be read: its key is not among HEFU_SECRET_KEYS.",
    "无法读取已保存的 Secret：HEFU_SECRET_KEYS 中没有对应的密钥。",
)
ENTER_AGAIN = Text(
    "Put the key back, or enter the secret anew.", "请恢复该密钥，或重新填写 Secret。"
)
UNDECIDED = Text(
    "WeCom answered with error {code}, which says nothing about this.",
    "企业微信返回错误码 {code}，无法据此判断。",
)
LATER = Text(
    "Try again later. WeCom blocks an address for an hour after several wrong secrets.",
    "请稍后再试。多次提交错误的 Secret 后，企业微信会封禁该 IP 一小时。",
)
TRUSTED = Text("WeCom takes calls from this server.", "企业微信接受本服务器的调用。")
UNTRUSTED = Text(
    "WeCom does not take calls from this server. The address it saw: {address}.",
    "企业微信不接受本服务器的调用，其看到的 IP 为 {address}。",
)
UNKNOWN_ADDRESS = Text("unknown", "未知")
AGENT_FOUND = Text("The app is there: {app}.", "应用存在：{app}。")
AGENT_CLOSED = Text("The app is stopped: {app}.", "应用已停用：{app}。")
START_AGENT = Text(
    "Start it in WeCom's console: App Management, the app.",
    "请在企业微信管理后台“应用管理”中启用该应用。",
)
AGENT_REFUSED = Text("WeCom refuses the app.", "企业微信拒绝了该应用。")
SCHEMA_FITS = Text(
    "It looks as WeCom's schemas do for this CorpID and AgentID.",
    "符合该企业 ID 与 AgentID 的 schema 形式。",
)
SCHEMA_ODD = Text("It looks unusual.", "schema 形式不常见。")
NO_MEMBER = Text("Not looked at: no member was named.", "未指定成员，未检查。")
NAME_A_MEMBER = Text(
    "Test with a member's userid to see what the app may read.",
    "请填写成员的 userid 以查看应用可读取的字段。",
)
TOLD = Text("WeCom tells: {fields}.", "企业微信提供：{fields}。")
TOLD_NO_MATCH = Text(
    "WeCom tells none of the fields that accounts are matched by; it tells: {fields}.",
    "企业微信未提供用于匹配账号的字段，仅提供：{fields}。",
)
MATCH_OTHERWISE = Text(
    "Apps made since June 2022 get neither e-mail nor phone. Match by externalId or "
    "username, or ask to bind.",
    "2022 年 6 月之后创建的应用无法获取邮箱和手机号，请改用 externalId 或用户名匹配，"
    "或选择询问绑定。",
)
MEMBER_BARRED = Text(
    "The member is disabled, not activated or gone, and could not log in.",
    "该成员已禁用、未激活或已退出，无法登录。",
)
MEMBER_REFUSED = Text(
    "WeCom shows the app no such member.", "企业微信未向该应用提供此成员。"
)
SHOW_MEMBER = Text(
    "Compare the userid, and the app's visible range in WeCom's console: App "
    "Management, the app.",
    "请核对 userid，并在企业微信管理后台“应用管理”中检查该应用的可见范围。",
)
PROFILE_REFUSED = Text(
    "The app may not read members: a profile will hold the userid alone.",
    "应用无权读取成员，资料中将仅有 userid。",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """The answers about one source, read in one language."""

    source: IdentitySource
    answers: Answers
    language: Language

    def checks(self) -> list[Check]:
        """Each once, in the order of `ConnectionCheckName`."""
        return [
            self._reachable(),
            self._credentials(),
            self._trusted_ip(),
            self._agent(),
            self._schema(),
            self._profile_fields(),
        ]

    def _reachable(self) -> Check:
        token = self.answers.token
        if isinstance(token, Unasked):
            return self._skipped(Name.REACHABLE, WECOM_NOT_ASKED)
        if isinstance(token, wecom.BadAnswer | wecom.UnexpectedStatus):
            return self._failed(Name.REACHABLE, NOT_UNDERSTOOD, OPEN_THE_WAY)
        if isinstance(token, wecom.Unavailable):
            return self._failed(Name.REACHABLE, NOT_REACHED, OPEN_THE_WAY)
        return self._passed(Name.REACHABLE, REACHED)

    def _credentials(self) -> Check:
        name, token = Name.CREDENTIALS, self.answers.token
        if token is None:
            return self._passed(name, GRANTED)
        if token is Unasked.REFUSED_BEFORE and self.source.problem_code is not None:
            return self._refused(name, REFUSED_BEFORE, self.source.problem_code)
        if token is Unasked.SECRET_LOST:
            return self._failed(name, SECRET_LOST, ENTER_AGAIN)
        if self.answers.address_refused or not isinstance(token, wecom.Refused):
            return self._skipped(name)
        if isinstance(token, wecom.Misconfigured):
            return self._refused(name, REFUSED, token.errcode)
        return self._undecided(name, token.errcode)

    def _trusted_ip(self) -> Check:
        refused = self.answers.address_refused
        if refused:
            address = refused.seen_ip or UNKNOWN_ADDRESS(self.language)
            return Check(
                Name.TRUSTED_IP,
                Status.FAIL,
                UNTRUSTED(self.language, address=address),
                self._meaning(UNTRUSTED_ADDRESS, address=address),
                UNTRUSTED_ADDRESS,
            )
        if self.answers.trusts_address:
            return self._passed(Name.TRUSTED_IP, TRUSTED)
        return self._skipped(Name.TRUSTED_IP)

    def _agent(self) -> Check:
        name, agent = Name.AGENT, self.answers.agent
        if isinstance(agent, Unasked) or self.answers.address_refused is agent:
            return self._skipped(name)
        if isinstance(agent, wecom.AgentInfo):
            app = agent.name or agent.agent_id
            if agent.closed:
                return self._failed(name, AGENT_CLOSED, START_AGENT, app=app)
            return self._passed(name, AGENT_FOUND, app=app)
        if isinstance(agent, wecom.Misconfigured):
            return self._refused(name, AGENT_REFUSED, agent.errcode)
        if isinstance(agent, wecom.Refused):
            return self._undecided(name, agent.errcode)
        return self._failed(name, NOT_REACHED, OPEN_THE_WAY)

    def _schema(self) -> Check:
        for caution in cautions.of_schema(self.source):
            odd = caution.text(self.language, **caution.values)
            return self._warned(Name.SCHEMA, SCHEMA_ODD, odd)
        return self._passed(Name.SCHEMA, SCHEMA_FITS)

    def _profile_fields(self) -> Check:
        name, member = Name.PROFILE_FIELDS, self.answers.member
        if isinstance(member, wecom.Profile):
            return self._profile(member)
        if member is Unasked.NO_MEMBER:
            return self._skipped(name, NO_MEMBER, NAME_A_MEMBER)
        if isinstance(member, Unasked) or self.answers.address_refused is member:
            return self._skipped(name)
        if isinstance(member, wecom.MemberRefused):
            return self._warned(
                name, MEMBER_REFUSED, SHOW_MEMBER(self.language), member.errcode
            )
        if isinstance(member, wecom.Misconfigured):
            hint = self._meaning(member.errcode)
            return self._warned(name, PROFILE_REFUSED, hint, member.errcode)
        if isinstance(member, wecom.Refused):
            return self._undecided(name, member.errcode)
        return self._failed(name, NOT_REACHED, OPEN_THE_WAY)

    def _profile(self, member: wecom.Profile) -> Check:
        name = Name.PROFILE_FIELDS
        if member.status in BARRED:
            return self._warned(name, MEMBER_BARRED, SHOW_MEMBER(self.language))
        told = [field for field in TELLABLE if getattr(member, field)]
        fields = ", ".join(told)
        matching = AccountAssociation.of(self.source)
        wanted = {field for field in CONTACTS if matching.matches_by(field)}
        if wanted and not any(CONTACTS[field].intersection(told) for field in wanted):
            hint = MATCH_OTHERWISE(self.language)
            return self._warned(name, TOLD_NO_MATCH, hint, fields=fields)
        return self._passed(name, TOLD, fields=fields)

    def _passed(self, name: Name, text: Text, **values: object) -> Check:
        return Check(name, Status.PASS, text(self.language, **values))

    def _skipped(
        self, name: Name, text: Text = NOT_ASKED, hint: Text | None = None
    ) -> Check:
        advice = hint(self.language) if hint else None
        return Check(name, Status.SKIPPED, text(self.language), advice)

    def _warned(
        self,
        name: Name,
        text: Text,
        hint: str,
        code: int | None = None,
        **values: object,
    ) -> Check:
        return Check(name, Status.WARN, text(self.language, **values), hint, code)

    def _failed(self, name: Name, text: Text, hint: Text, **values: object) -> Check:
        message = text(self.language, **values)
        return Check(name, Status.FAIL, message, hint(self.language))

    def _refused(self, name: Name, text: Text, code: int) -> Check:
        message = text(self.language)
        return Check(name, Status.FAIL, message, self._meaning(code), code)

    def _undecided(self, name: Name, code: int) -> Check:
        message = UNDECIDED(self.language, code=code)
        return Check(name, Status.FAIL, message, LATER(self.language), code)

    def _meaning(self, code: int, address: str | None = None) -> str:
        return problems.message(code, self.language, address=address)
