"""
Pages of a list: keyset pagination.

A page begins behind a place, not at a count: what is inserted or deleted meanwhile
neither repeats nor hides anything, and page 10,000 costs what page 1 does. Places are
compared as row values, `(name_key, id) > ($1, $2)`, which an index of these columns
serves; spelled with OR it would not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from tortoise.models import Model

from models import database
from models.arrays import Selection
from models.database import Row
from services.branches import Wanted
from services.errors import BadRequest
from services.language import Text

M = TypeVar("M", bound=Model)

LARGEST = 100

NO_CURSOR = Text(
    "The cursor is not one of this list and order.", "游标不属于此列表或此排序。"
)
BOTH_ENDS = Text(
    "Give `first` or `last`, not both.", "`first` 与 `last` 只能给出其一。"
)
PAGE_SIZE = Text(
    "`first` and `last` go from 1 to {largest}.",
    "`first` 与 `last` 的取值范围为 1 到 {largest}。",
)
USUAL = 20

# Changed whenever what stands in a cursor changes.
VERSION = 1
LONGEST_CURSOR = 2048

Place = tuple[Any, ...]


class OrderDirection(StrEnum):
    ASC = "ASC"
    DESC = "DESC"


@dataclass(frozen=True, slots=True)
class Key:
    """
    A column that a list is ordered by; never null.

    :param field: the model's, where the column repeats it with
    :param stand_in: what null counts as.
    """

    column: str
    kind: type[str | UUID | datetime] = str
    field: str | None = None
    stand_in: str | None = None

    @property
    def name(self) -> str:
        """Of the model's field that holds it."""
        return self.field or self.column

    def of(self, model: type[Model], row: Row) -> Any:
        value = database.reader(model, self.name, "t")(row)
        return self.stand_in if value is None else value


ID = Key("id", UUID)


@dataclass(frozen=True, slots=True)
class Order:
    """
    How a list runs; the last key is unique.

    :param name: what a cursor is bound to, e.g. `apps.name`.
    """

    name: str
    keys: tuple[Key, ...] = (ID,)
    descending: bool = False

    def towards(self, direction: OrderDirection) -> Self:
        return replace(self, descending=direction is OrderDirection.DESC)

    def by(self, *, backwards: bool) -> str:
        """ORDER BY, as a page is read."""
        way = "DESC" if self.descending != backwards else "ASC"
        return ", ".join(f"t.{key.column} {way}" for key in self.keys)

    def cursor(self, model: type[Model], row: Row) -> str:
        values = [_shown(key.of(model, row)) for key in self.keys]
        text = json.dumps([VERSION, self._bond, *values], ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def place(self, cursor: str) -> Place:
        """
        :raises BadRequest: it is no cursor, or another list's or order's.
        """
        try:
            version, bond, *values = _opened(cursor)
            if (version, bond, len(values)) != (VERSION, self._bond, len(self.keys)):
                raise ValueError
            return tuple(
                _read(key.kind, value)
                for key, value in zip(self.keys, values, strict=True)
            )
        except (ValueError, TypeError, RecursionError):
            raise BadRequest(NO_CURSOR) from None

    @property
    def _bond(self) -> str:
        return f"{self.name}-" if self.descending else self.name


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked of a list, as it came."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def of(self, order: Order) -> Part:
        """
        The part of a list in this order.

        :raises BadRequest: it contradicts itself, or goes past a bound.
        """
        if self.first is not None and self.last is not None:
            raise BadRequest(BOTH_ENDS)
        size = self.last if self.first is None else self.first
        if size is not None and not 1 <= size <= LARGEST:
            raise BadRequest(PAGE_SIZE, largest=LARGEST)
        return Part(
            size=size or USUAL,
            backwards=self.last is not None,
            after=None if self.after is None else order.place(self.after),
            before=None if self.before is None else order.place(self.before),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """So many of what lies between two places, from one end."""

    size: int = USUAL
    backwards: bool = False
    after: Place | None = None
    before: Place | None = None

    @property
    def begins_at(self) -> Place | None:
        """The cursor that it is read from, if it is from one."""
        return self.before if self.backwards else self.after


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """
    A part of a list as it was found, in the list's order.

    :param rows: the driver's; what they hold besides, `columns` named as `t`'s.
    """

    model: type[M]
    rows: Sequence[Any]
    order: Order
    has_next: bool
    has_previous: bool

    def objects(self) -> list[M]:
        """The rows as models; for pages that were read with all columns."""
        read = [database.read(self.model, row, "t") for row in self.rows]
        return [row for row in read if row is not None]

    def cursors(self) -> list[str]:
        """Of each row."""
        return [self.order.cursor(self.model, row) for row in self.rows]

    def cursor(self, place: int) -> str | None:
        """Of the row at `place`, -1 being the last; None where there is no row."""
        return self.order.cursor(self.model, self.rows[place]) if self.rows else None


@dataclass(slots=True)
class Where:
    """Conditions, all of which must hold; `?` stands for a value."""

    conditions: list[str] = field(default_factory=list[str])
    values: list[Any] = field(default_factory=list[Any])

    def add(self, condition: str, *values: Any) -> Self:
        self.conditions.append(self.bound(condition, *values))
        return self

    def add_part(self, order: Order, part: Part) -> Self:
        if part.after is not None:
            self.conditions.append(self.beside(order, part.after, ">"))
        if part.before is not None:
            self.conditions.append(self.beside(order, part.before, "<"))
        return self

    def beside(self, order: Order, place: Place, operator: str) -> str:
        """A comparison of rows with `place`; `>` is what comes later in the list."""
        if order.descending:
            operator = operator.translate(_MIRRORED)
        keys = ", ".join(f"t.{key.column}" for key in order.keys)
        marks = ", ".join(_mark(key) for key in order.keys)
        return self.bound(f"({keys}) {operator} ({marks})", *place)

    def beyond(self, order: Order, place: Place, *, backwards: bool) -> str:
        """A comparison with what a page that is read from `place` has left behind."""
        return self.beside(order, place, ">=" if backwards else "<=")

    def bound(self, condition: str, *values: Any) -> str:
        """`condition` with its values numbered; it is not yet one of these."""
        for value in values:
            self.values.append(value)
            condition = condition.replace("?", f"${len(self.values)}", 1)
        return condition

    def copy(self) -> Where:
        return Where([*self.conditions], [*self.values])

    def __str__(self) -> str:
        return " AND ".join(self.conditions) or "TRUE"


_MIRRORED = str.maketrans("<>", "><")
_TYPES: dict[type, str] = {str: "text", UUID: "uuid", datetime: "timestamptz"}


def _mark(key: Key) -> str:
    """
    What stands for a place's value.

    Where PostgreSQL sees the value, it may plan a page anew for each cursor, which
    takes as long as the page: by username, a page behind a cursor of a million accounts
    cost 1.5 times that of a hundred. What a subselect gives, it does not see.
    """
    if database.dialect() == "sqlite":
        return "?"
    return f"(SELECT ?::{_TYPES[key.kind]})"


async def page(
    model: type[M],
    order: Order,
    part: Part,
    where: Where,
    wanted: Wanted | None = None,
) -> Page[M]:
    """
    One page, by one statement, and one more where a cursor was given.

    :param wanted: what somebody will look at; None: all of the fields.
    """
    within = where.copy().add_part(order, part)
    selection = (
        wanted.selection(model, order)
        if wanted
        else Selection(database.columns(model, "t"))
    )
    by = order.by(backwards=part.backwards)
    found = (
        f"{model._meta.db_table} t WHERE {within} ORDER BY {by} LIMIT {part.size + 1}"
    )
    if selection.join:
        # To the page's rows alone: PostgreSQL might read every row's lists before it
        # takes fifty. A join promises no order, so it is said again.
        found = f"(SELECT * FROM {found}) t {selection.join} ORDER BY {by}"
    rows = await database.fetch_rows(
        f"SELECT {selection.columns} FROM {found}", *within.values
    )
    is_preceded = await _is_preceded(model, order, part, where)
    return assembled(model, order, part, rows, is_preceded=is_preceded)


async def count(model: type[Model], where: Where) -> int:
    """How many there are, on all pages."""
    row = await database.fetch_one(
        f"SELECT COUNT(*) AS number FROM {model._meta.db_table} t WHERE {where}",
        *where.values,
    )
    return row["number"] if row else 0


def assembled(
    model: type[M],
    order: Order,
    part: Part,
    rows: Sequence[Any],
    *,
    is_preceded: bool = False,
) -> Page[M]:
    """
    A page from one row more than it holds, read as `t` in the part's own direction.

    Of `first` and `before` together, or `last` and `after`, the other end is the
    window's and not the list's: whoever goes on while there is more must come to an
    end (Relay's cursor connections, "HasNextPage").

    :param is_preceded: whether anything lies before the place that it is read from.
    """
    is_followed = len(rows) > part.size
    found = rows[: part.size]
    return Page(
        model=model,
        rows=found[::-1] if part.backwards else found,
        order=order,
        has_next=is_preceded if part.backwards else is_followed,
        has_previous=is_followed if part.backwards else is_preceded,
    )


async def _is_preceded(
    model: type[Model], order: Order, part: Part, where: Where
) -> bool:
    place = part.begins_at
    if place is None:
        return False
    asked = where.copy()
    beyond = asked.beyond(order, place, backwards=part.backwards)
    # From the place outwards, so that the row of the cursor itself is looked at first:
    # within EXISTS PostgreSQL pays no heed to an order.
    row = await database.fetch_one(
        f"SELECT (SELECT 1 FROM {model._meta.db_table} t WHERE {asked} AND {beyond} "
        f"ORDER BY {order.by(backwards=not part.backwards)} LIMIT 1) IS NOT NULL "
        "AS found",
        *asked.values,
    )
    return bool(row and row["found"])


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def _opened(cursor: str) -> list[Any]:
    if len(cursor) > LONGEST_CURSOR:
        raise ValueError
    try:
        text = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
    except binascii.Error:
        raise ValueError from None
    opened = json.loads(text)
    if not isinstance(opened, list):
        raise TypeError
    return opened


def _read(kind: type[str | UUID | datetime], value: Any) -> Any:
    if not isinstance(value, str):
        raise TypeError
    if kind is UUID:
        return UUID(value)
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo != UTC:
            raise ValueError
        return moment
    if "\0" in value:
        raise ValueError
    value.encode()
    return value
