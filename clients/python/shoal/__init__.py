"""Client of shoald, the image-clustering daemon. See README.md and
docs/protocol.md."""

from .client import Client, Events
from .errors import (Busy, Conflict, DaemonError, Forbidden, NotFound,
                     ProtocolError, Rejected, ShoalError, Timeout,
                     Unavailable, Unreachable)
from .ingest import Image
from .replies import (Cluster, Clusters, Correction, Epoch, Event,
                      HistoryEntry, ImageInfo, IngestReply, LineageEntry,
                      Member, RejectedEntry, RejectedList, Similar, Status,
                      WireError)

__version__ = "0.1.0"

__all__ = [
    "Busy", "Client", "Cluster", "Clusters", "Conflict", "Correction",
    "DaemonError", "Epoch", "Event", "Events", "Forbidden", "HistoryEntry",
    "Image", "ImageInfo", "IngestReply", "LineageEntry", "Member", "NotFound",
    "ProtocolError", "Rejected", "RejectedEntry", "RejectedList",
    "ShoalError", "Similar", "Status", "Timeout", "Unavailable",
    "Unreachable", "WireError"]
