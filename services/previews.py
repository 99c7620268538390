"""What a first login would do, and why: asked by administrators, changing nothing."""

from __future__ import annotations

from dataclasses import dataclass

from models import App, Association, IdentitySource, Role, User, ids
from services import account_association, binding, forms, phones, refusals
from services.account_association import AccountAssociation
from services.binding import Decision, Outcome, Step
from services.callers import Caller
from services.errors import InputErrorCode
from services.linking import USERID
from services.links import Links, rules
from services.profiles import Profile
from services.refusals import LoginFailureCode, Refusal


@dataclass(frozen=True, slots=True)
class Question:
    """A profile to try, and rules to try instead of the saved ones."""

    identity_source_id: str
    app_id: str
    wecom_user_id: str
    email: str | None = None
    phone: str | None = None
    login_only: bool | None = None
    account_association: AccountAssociation | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen, to whom, and every rule that led there."""

    outcome: Outcome
    steps: tuple[Step, ...]
    user: User | None = None
    failure: LoginFailureCode | None = None


class Previews:
    """Asks the same decision that a login asks."""

    def __init__(self, *, links: Links) -> None:
        self._links = links

    async def preview(self, caller: Caller, question: Question) -> Preview:
        """
        :raises InputRejected: an unknown source or app, a malformed userid, rules that
            could not be saved.
        """
        caller.require(Role.VIEWER)
        form = forms.Form()
        userid = form.line(
            "wecomUserId",
            question.wecom_user_id,
            pattern=Profile.USERID,
            otherwise=USERID,
        )
        email = form.optional_line("email", question.email, most=254)
        phone = form.optional_line("phone", question.phone)
        proposed = question.account_association
        if proposed is not None:
            proposed = account_association.read(form, proposed)
        source = await IdentitySource.get_or_none(
            id=ids.read(ids.SOURCE, question.identity_source_id)
        )
        app = await App.get_or_none(id=ids.read(ids.APP, question.app_id))
        if source is None:
            path = "identitySourceId"
            form.refuse(path, InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        if app is None:
            form.refuse("appId", InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        form.check()
        if source is None or app is None:
            raise TypeError(form)
        if not app.enabled:
            return _refuse(refusals.AppUnavailable, "app.disabled")
        if not source.enabled:
            return _refuse(refusals.SourceUnavailable, "source.disabled")
        if not await Association.exists(app_id=app.id, identity_source_id=source.id):
            return _refuse(refusals.SourceUnavailable, "source.not_associated")
        login_only = question.login_only
        tried = rules(
            proposed or AccountAssociation.of(source),
            login_only=source.login_only if login_only is None else login_only,
        )
        profile = Profile(userid, email=email, phone=phones.normalise(phone))
        facts = await self._links.facts(source, app, profile, rules=tried)
        return await _shown(binding.decide(tried, facts))


async def _shown(decision: Decision) -> Preview:
    user = await User.get_or_none(id=decision.account_id)
    failure = decision.refusal.code if decision.refusal else None
    return Preview(decision.outcome, decision.steps, user, failure)


def _refuse(refusal: type[Refusal], rule: str) -> Preview:
    return Preview(Outcome.REFUSE, (Step(rule),), failure=refusal.code)
