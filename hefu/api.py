"""The schema: the roots, what only an interface reaches, and how values are shown."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry.schema.config import StrawberryConfig

from hefu import inputs
from resolvers.mutation import Mutation
from resolvers.payloads import HANDLERS
from resolvers.query import Query
from schema import node, scalars
from schema.api_key import ApiKey
from schema.audit_event import AuditEvent
from schema.context import Info
from schema.identity_source import WecomMobileIdentitySource, WecomMobileLoginOption
from schema.session import Session

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    types=[
        ApiKey,
        AuditEvent,
        Session,
        WecomMobileIdentitySource,
        WecomMobileLoginOption,
    ],
    config=StrawberryConfig(
        default_resolver=node.read,
        info_class=Info,
        scalar_map={datetime: scalars.DATE_TIME},
    ),
    exception_handlers=HANDLERS,
)
inputs.prepare(schema)
