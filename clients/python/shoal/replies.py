"""What the daemon answers, as values. Times are aware datetimes in UTC."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import typing
from typing import Any, Iterator, Mapping, Optional, TypeVar, Union

from .errors import ProtocolError, Rejected

T = TypeVar("T")
Time = datetime.datetime


@dataclasses.dataclass(frozen=True)
class WireError:
    """`code` is for programs, `message` for people."""

    code: str
    message: str = ""


@dataclasses.dataclass(frozen=True)
class IngestReply:
    """What became of an image.

    `status` is `stored`, `assigned`, `duplicate` or `rejected`. With
    `ack="assigned"`, `has_cluster` tells that `cluster` was answered: None is
    then unassigned. `error` also comes with `assigned` (the pipeline could
    not use the image: it is kept) and with `stored` (assigned later).
    """

    id: str
    status: str
    cluster: Optional[int] = None
    confidence: Optional[float] = None
    error: Optional[WireError] = None
    has_cluster: bool = False
    busy_retries: int = 0  # "busy" answers before this one
    item: Any = None  # what was given to ingest_many, or the image

    @property
    def is_rejected(self) -> bool:
        return self.status == "rejected"

    def check(self) -> IngestReply:
        """Itself; raises Rejected when the image was."""
        if self.is_rejected:
            error = self.error or WireError("rejected", "rejected")
            raise Rejected(error.code, error.message)
        return self


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    id: str
    state: str  # pending, assigned, unassigned, confirmed
    cluster: Optional[int]
    confidence: Optional[float]
    epoch: Optional[int]
    source: Optional[str]
    captured_at: Optional[Time]
    meta: Optional[dict[str, str]]
    received_at: Optional[Time]
    size_bytes: int
    format: str
    width: int
    height: int
    error: Optional[WireError] = None


@dataclasses.dataclass(frozen=True)
class Cluster:
    """`retired` and `successors` are known from Client.cluster() only."""

    cluster: int
    size: int
    confirmed: int
    name: Optional[str]
    born_epoch: Optional[int]
    retired: bool = False
    successors: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Clusters:
    """All clusters of the current epoch; iterates over them."""

    clusters: tuple[Cluster, ...]
    epoch: Optional[int]
    unassigned: int

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self.clusters)

    def __len__(self) -> int:
        return len(self.clusters)


@dataclasses.dataclass(frozen=True)
class Member:
    id: str
    state: str
    confidence: Optional[float]


@dataclasses.dataclass(frozen=True)
class Similar:
    id: str
    score: float
    cluster: Optional[int]


@dataclasses.dataclass(frozen=True)
class HistoryEntry:
    at: Optional[Time]
    epoch: Optional[int]
    # `from` and `to` on the wire.
    from_cluster: Optional[int] = dataclasses.field(metadata={"key": "from"})
    to_cluster: Optional[int] = dataclasses.field(metadata={"key": "to"})
    state: str
    cause: str


@dataclasses.dataclass(frozen=True)
class LineageEntry:
    seq: int
    at: Optional[Time]
    cluster: int
    kind: str  # born, split, merged, retired, revived
    epoch: Optional[int]
    others: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Epoch:
    """A run and its result. `status` is `staging`, `published`, `held`,
    `failed`, `skipped` or `dropped`."""

    epoch: int
    parent: Optional[int]
    status: str
    current: bool
    method: Optional[str]
    reason: Optional[str]
    started_at: Optional[Time]
    finished_at: Optional[Time]
    images: Optional[int]
    clusters: Optional[int]
    churn: Optional[float]
    scores: Optional[dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Status:
    images: int
    pending: int
    assigned: int
    unassigned: int
    confirmed: int
    rejected: int
    clusters: int
    epoch: Optional[int]
    refining: bool
    version: str
    uptime_seconds: float
    views: tuple[str, ...]
    last_run: Optional[Epoch]


@dataclasses.dataclass(frozen=True)
class RejectedEntry:
    number: int
    at: Optional[Time]
    id: Optional[str]
    source: Optional[str]
    code: str
    message: str


@dataclasses.dataclass(frozen=True)
class RejectedList:
    """`total`: ever; `counts`: by code, since the daemon started."""

    total: int
    rejected: tuple[RejectedEntry, ...]
    counts: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Correction:
    """`correction` is its number, for undo()."""

    correction: int
    cluster: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class Event:
    """`fields` are those of the topic, see docs/protocol.md."""

    topic: str
    at: Optional[Time]
    fields: Mapping[str, Any]


def decode(kind: type[T], fields: Any) -> T:
    """A value of the dataclass `kind`. Keys that it does not have are
    ignored. Raises ProtocolError, naming the key."""
    return typing.cast(T, _value(kind, fields, kind.__name__))


def decode_time(value: Any, where: str) -> Optional[Time]:
    """Of an RFC 3339 text, or None. Raises ProtocolError."""
    if value is None:
        return None
    try:
        return Time.fromisoformat(value)
    except (TypeError, ValueError):
        raise ProtocolError("the daemon's reply makes no sense: %s is no "
                            "time: %s" % (where, ascii(value)[:60])) from None


# Of a class, the name, key, type and necessity of every field.
@functools.lru_cache(maxsize=None)
def _plan(kind: type) -> tuple[tuple[str, str, Any, bool], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, field.metadata.get("key", field.name),
                  hints[field.name],
                  field.default is dataclasses.MISSING
                  and not _is_optional(hints[field.name]))
                 for field in dataclasses.fields(kind))


def _is_optional(kind: Any) -> bool:
    return (typing.get_origin(kind) is Union
            and type(None) in typing.get_args(kind))


def _value(kind: Any, value: Any, where: str) -> Any:
    if _is_optional(kind):
        if value is None:
            return None
        kind = typing.get_args(kind)[0]
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _record(kind, value, where)
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(kind)[0]
        return tuple(_value(item, each, where) for each in value)
    if origin is dict and isinstance(value, dict):
        item = typing.get_args(kind)[1]
        return {key: _value(item, each, "%s.%s" % (where, key))
                for key, each in value.items()}
    if kind is Time:
        return decode_time(value, where)
    if kind is float and isinstance(value, int) and value is not True:
        return float(value)
    if (isinstance(kind, type) and isinstance(value, kind)
            and (kind is bool or not isinstance(value, bool))):
        return value
    raise ProtocolError("the daemon's reply makes no sense: %s is %s"
                        % (where, "missing" if value is None
                           else type(value).__name__))


def _record(kind: Any, fields: dict[str, Any], where: str) -> Any:
    values: dict[str, Any] = {}
    for name, key, hint, is_needed in _plan(kind):
        value = fields.get(key)
        if value is None and not is_needed:
            if _is_optional(hint):
                values[name] = None
            continue
        values[name] = _value(hint, value, "%s.%s" % (where, key))
    return kind(**values)
