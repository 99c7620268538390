"""Whom we call: a client for the server API of WeCom, and a sandbox that plays it."""

from __future__ import annotations

from wecom.agent import Agent as Agent
from wecom.answers import AgentInfo as AgentInfo
from wecom.answers import Member as Member
from wecom.answers import Outsider as Outsider
from wecom.answers import Profile as Profile
from wecom.client import Client as Client
from wecom.errors import BadAnswer as BadAnswer
from wecom.errors import Busy as Busy
from wecom.errors import CodeRejected as CodeRejected
from wecom.errors import ConnectionLost as ConnectionLost
from wecom.errors import Limited as Limited
from wecom.errors import MemberRefused as MemberRefused
from wecom.errors import Misconfigured as Misconfigured
from wecom.errors import Refused as Refused
from wecom.errors import StaleToken as StaleToken
from wecom.errors import TimedOut as TimedOut
from wecom.errors import Unavailable as Unavailable
from wecom.errors import UnexpectedStatus as UnexpectedStatus
from wecom.errors import UnknownRefusal as UnknownRefusal
from wecom.errors import Unreachable as Unreachable
from wecom.errors import WecomError as WecomError
from wecom.exchange import Observer as Observer
from wecom.tokens import StoredToken as StoredToken
from wecom.tokens import TokenStore as TokenStore
