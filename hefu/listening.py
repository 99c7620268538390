"""Addresses that cannot be listened on: a sentence that names the setting."""

from __future__ import annotations

import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager

# Of another machine, and a name that stands for no address.
NO_ADDRESS = {errno.EADDRNOTAVAIL, socket.EAI_NONAME, socket.EAI_AGAIN}


class CannotListen(Exception):
    """The text says which address, why not, and what names another."""


@contextmanager
def explained(
    host: str, port: int, *, host_from: str, port_from: str
) -> Generator[None]:
    """
    For the block that opens the socket.

    :raises CannotListen: in place of the OSError, whose text names no setting.
    """
    try:
        yield
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        denied = isinstance(error, PermissionError)
        if taken:
            why = f"Something listens on {host}:{port} already"
        elif denied:
            why = f"This user may not listen on port {port}"
        elif error.errno in NO_ADDRESS:
            why = f"{host} is no address of this machine"
        else:
            why = f"{host}:{port} cannot be listened on ({error.strerror})"
        setting = port_from if taken or denied else host_from
        raise CannotListen(f"{why}: {setting} names another.") from None
