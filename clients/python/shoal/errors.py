"""What can go wrong, as exceptions."""

from __future__ import annotations

from typing import Any, Sequence


class ShoalError(Exception):
    """Base of every exception of this package.

    `unacknowledged` holds what was on its way when an ingest gave up: images
    that the daemon may or may not have stored. Sending them again is safe.
    """

    unacknowledged: Sequence[Any] = ()


class Unreachable(ShoalError, ConnectionError):
    """No daemon answers at the endpoint, or the connection was lost."""


class Timeout(ShoalError, TimeoutError):
    """The daemon is there and did not answer in time."""


class ProtocolError(ShoalError):
    """The peer does not speak the protocol: it may not be a shoald."""


class DaemonError(ShoalError):
    """The daemon refused. `code` is for programs (docs/protocol.md lists the
    codes), `message` says what was wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__("%s [%s]" % (message, code))
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message), self.__dict__


class Rejected(DaemonError):
    """The image or the request is no good: sending it again does not help."""


class NotFound(DaemonError):
    """No such image, cluster, epoch or correction."""


class Conflict(DaemonError):
    """The state does not allow it, or there is no published epoch yet."""


class Busy(DaemonError):
    """Not now: a queue or the disk is full, or a run is in progress."""


class Unavailable(DaemonError):
    """The daemon is starting or shutting down."""


class Forbidden(DaemonError):
    """The client's role does not allow it."""


_KINDS: dict[str, type[DaemonError]] = {
    "not_found": NotFound,
    "conflict": Conflict,
    "no_epoch": Conflict,
    "id_conflict": Conflict,
    "busy": Busy,
    "queue_full": Busy,
    "disk_full": Busy,
    "storage_full": Busy,
    "store_failed": Busy,
    "unavailable": Unavailable,
    "shutting_down": Unavailable,
    "forbidden": Forbidden,
}
for _code in ("bad_message", "bad_version", "missing_field", "bad_field",
              "bad_id", "unknown_op", "unsupported", "invalid", "empty_image",
              "too_large", "not_an_image", "unsupported_format",
              "truncated_image", "too_many_pixels", "broken_image"):
    _KINDS[_code] = Rejected


def daemon_error(code: str, message: str) -> DaemonError:
    """The exception for an error of the query socket; a code that is not
    known is a plain DaemonError."""
    return _KINDS.get(code, DaemonError)(code, message)
