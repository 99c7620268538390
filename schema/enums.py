"""The domain's enumerations, described for whoever builds a form from them."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, cast

import strawberry

from models import (
    AccountAssociationMode,
    AuditActorType,
    BindingMethod,
    DevicePlatform,
    IdentityProvider,
    LinkOrigin,
    LoginResolution,
    MatchField,
    Role,
    UserStatus,
)
from services.binding import Outcome
from services.errors import InputErrorCode
from services.lists import AppOrderField, IdentitySourceOrderField, UserOrderField
from services.pages import OrderDirection
from services.refusals import LoginFailureCode, LoginRetry


def describe(
    enum: type[Enum], description: str, *, as_name: str | None = None, **values: str
) -> None:
    """
    Show `enum` in the schema, under its own name unless told another.

    The domain knows no GraphQL, so its members are described here.

    :raises KeyError: a member has no description.
    """
    strawberry.enum(enum, name=as_name, description=description)
    for value in cast("Any", enum).__strawberry_definition__.values:
        value.description = values[value.name]


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


describe(
    AppOrderField,
    "What apps can be ordered by.",
    CREATED_AT="When the app was created.",
    NAME="The name, in any case; apps of one name by creation.",
)

describe(
    AuditActorType,
    "Who did it.",
    USER="Somebody with an access token.",
    API_KEY="A back end or a console, with an API key.",
    ANONYMOUS="Somebody without a credential, e.g. at a login.",
    SYSTEM="Nobody: a rule or the passing of time did.",
)

describe(
    Outcome,
    "What a login would do.",
    as_name="BindingPreviewOutcome",
    LOG_IN="Log in to the account that the member is linked to.",
    LINK_AND_LOG_IN="Link the member to an account that matches, and log in to it.",
    CREATE_ACCOUNT="Create an account and log in to it.",
    ASK_TO_BIND="Ask the person to choose.",
    REFUSE="Refuse; `failure` says why.",
)

describe(
    ConnectionCheckName,
    "What a connection test looks at, in this order.",
    REACHABLE="Whether WeCom answers at all.",
    CREDENTIALS="Whether WeCom takes the CorpID and the secret.",
    TRUSTED_IP="Whether the server's address is among the app's trusted ones.",
    AGENT="Whether the AgentId is the app's, and the app is enabled.",
    SCHEMA="Whether the schema looks like the app's.",
    PROFILE_FIELDS="Whether WeCom tells of a member what field matching compares.",
)

describe(
    ConnectionCheckStatus,
    "How a check went.",
    PASS="It works.",
    WARN="It works, but something looks odd.",
    FAIL="It does not work; `hint` says what to do.",
    SKIPPED="It could not be looked at, mostly because an earlier check failed.",
)

describe(
    InputErrorCode,
    "What is wrong with a value. A code that you do not know: show `message`.",
    REQUIRED="The value is missing, or empty where it may not be.",
    INVALID_FORMAT="The value does not look like what it should be.",
    TOO_SHORT="The value is shorter than allowed; the message names the bound.",
    TOO_LONG="The value is longer than allowed; the message names the bound.",
    OUT_OF_RANGE="The number or moment is outside of its bounds; the message names"
    " them.",
    TOO_WEAK="The password is too easy to guess.",
    TAKEN="Another object has this value already, and it must be unique.",
    NOT_FOUND="No object has this id, or not one of this type.",
    CONFLICT="The values contradict one another, or the object's present state.",
    ALREADY_LINKED="The identity belongs to an account already, or the account has"
    " another of this enterprise.",
    INVALID_CREDENTIALS="The current password is wrong.",
    RATE_LIMITED="Too many attempts; the message says when to come back.",
    LAST_LOGIN_METHOD="It would leave the person no way to log in.",
    LAST_OWNER="It would leave nobody who is OWNER.",
    FORBIDDEN="The caller's role may make this change, but not to this object or to"
    " this value.",
)

describe(
    LinkOrigin,
    "How an identity came to its account.",
    CREATED="The account was created for it.",
    FIELD_MATCHING="A login found the account by its fields.",
    ASK_TO_BIND="The person proved the account to be theirs.",
    LINKED_BY_USER="The person linked it while logged in.",
    LINKED_BY_ADMIN="An administrator linked it.",
)

describe(
    IdentityProvider,
    "Who vouches for people.",
    WECOM="企业微信, WeCom: members of an enterprise.",
)

describe(
    AccountAssociationMode,
    "What happens when somebody logs in for the first time.",
    NONE="A new account is created.",
    FIELD_MATCHING="An existing account is looked for by fields; a new one is created"
    " where none fits.",
    ASK_TO_BIND="The person is asked: prove an existing account, or get a new one.",
)

describe(
    MatchField,
    "What field matching compares.",
    EMAIL="WeCom's e-mail address against an account's verified one, in any case.",
    PHONE="WeCom's phone number against an account's verified one.",
    USERNAME="WeCom's userid against the username. Opt-in: the corp's administrator"
    " chooses userids, and so whose account a member gets.",
    EXTERNAL_ID="WeCom's userid against the account's externalId.",
)

describe(
    BindingMethod,
    "How a person proves that an account is theirs.",
    USERNAME_PASSWORD="The username and the password.",
    EMAIL_PASSWORD="A verified e-mail address and the password.",
    PHONE_PASSWORD="A verified phone number and the password.",
)

describe(
    IdentitySourceOrderField,
    "What identity sources can be ordered by.",
    CREATED_AT="When the source was created.",
    IDENTIFIER="The identifier.",
    DISPLAY_NAME="The display name, in any case; sources of one name by creation.",
)

describe(
    LoginRetry,
    "What an app does about a failure.",
    NEVER="The same call will fail again: show the message.",
    SAME_REQUEST="The very same call, same code and state, may work; after"
    " `retryAfter` seconds where that is given.",
    START_AGAIN="A new login, from `startWecomMobileLogin` on, may work.",
)

describe(
    LoginFailureCode,
    "Why a login failed. A code that you do not know: show `message` and obey `retry`.",
    APP_UNAVAILABLE="The app is unknown or disabled.",
    IDENTITY_SOURCE_UNAVAILABLE="The source is unknown, disabled or not associated with"
    " the app: told apart in the audit log only.",
    INVALID_CODE="WeCom's code is wrong, used or older than five minutes: start again.",
    INVALID_STATE="The state is missing, forged, expired, spent, for another app,"
    " source or purpose, or came without its code verifier.",
    NOT_A_MEMBER="Somebody outside of the enterprise.",
    MEMBER_NOT_ALLOWED="The member is disabled, gone, or outside of the WeCom app's"
    " visible range.",
    ACCOUNT_NOT_FOUND="Login-only mode is on or sign-up is off, and there is no account"
    " to log in to.",
    PROFILE_INSUFFICIENT="Field matching is on, but WeCom told none of the fields that"
    " it compares: nothing is created.",
    ACCOUNT_CONFLICT="Matching found more than one account, or one that may not be"
    " matched.",
    ACCOUNT_DISABLED="The account is disabled.",
    ALREADY_LINKED="The account is linked to another identity of this enterprise"
    " already.",
    INVALID_TICKET="The binding ticket is unknown, used, expired, exhausted or another"
    " app's.",
    INVALID_CREDENTIALS="The account or the password is wrong.",
    METHOD_NOT_ALLOWED="The app or the source does not allow this way.",
    INVALID_REFRESH_TOKEN="The refresh token is unknown, used or expired, or its"
    " session has ended.",
    IDENTITY_SOURCE_MISCONFIGURED="WeCom refuses the source's settings; an"
    " administrator must mend them.",
    WECOM_UNAVAILABLE="WeCom did not answer, or not as it should.",
    RATE_LIMITED="Too many attempts; `retryAfter` says when to come back.",
)

describe(
    OrderDirection,
    "Which way a list runs.",
    ASC="Smallest, earliest or first in the alphabet first.",
    DESC="The exact reverse.",
)

describe(
    LoginResolution,
    "How a login found its account.",
    LINKED="The identity was linked before.",
    MATCHED="The identity was linked now, to the account that field matching found.",
    BOUND="The identity was linked now, to the account that the person proved to be"
    " theirs.",
    CREATED="A new account was created.",
    PASSWORD="A password sign-in: no identity was involved.",
)

describe(
    DevicePlatform,
    "What a device runs.",
    ANDROID="Android.",
    IOS="iOS or iPadOS.",
    HARMONYOS="HarmonyOS.",
    OTHER="Anything else.",
)

describe(
    UserStatus,
    "Whether an account may be used.",
    ACTIVE="The person may log in.",
    DISABLED="The person may not; their sessions have ended.",
)

describe(
    Role,
    "What somebody may do on the admin API. Each role includes the ones before it.",
    MEMBER="An end user; no access to the admin API.",
    VIEWER="Reads the admin API.",
    ADMIN="Reads and changes everything except roles, API keys and accounts above"
    " MEMBER.",
    OWNER="Everything.",
)

describe(
    UserOrderField,
    "What accounts can be ordered by.",
    CREATED_AT="When the account was created.",
    LAST_LOGIN_AT="The last login; one within a minute of another does not count. Who"
    " never logged in counts as earliest.",
    USERNAME="The username, in any case. Accounts without one come after all others.",
)
