from __future__ import annotations

from schema.context import Info
from schema.node import Viewer
from schema.user import ChangeMyPasswordInput, ChangeMyPasswordPayload, User


async def change_mine(
    info: Info, input: ChangeMyPasswordInput
) -> ChangeMyPasswordPayload:
    caller = info.context.caller
    user = await info.context.services.password_changes.change(
        caller, input.current_password, input.new_password
    )
    return ChangeMyPasswordPayload(user=User.of(user, Viewer.of(caller)))
