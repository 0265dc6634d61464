"""Where bytes stay: blobs by their own hash, and an append-only log that tells damage.

Ports with one file per backend. A blob is read back under the hash it was stored by, so a flipped
bit is an error and never a wrong answer. A log survives a power cut at any byte: a torn tail is
dropped when it is opened, and a damaged line in the middle is counted, never handed out. A queue
has a bound, and counts what newer messages push out.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> blobs = FolderBlobs(folder / "blobs")
    >>> blobs.read(blobs.add(b"weights"))
    b'weights'
    >>> log = Log(folder / "journal.log")
    >>> log.append(b"started"), log.append(b"stopped")
    (1, 2)
    >>> [entry.payload for entry in Log(folder / "journal.log").entries]
    [b'started', b'stopped']
"""

from edgewright.stores.base import BlobStore, LocalBlobStore, ObjectStore
from edgewright.stores.blobs import FolderBlobs
from edgewright.stores.disk_queue import DiskQueue
from edgewright.stores.log import Entry, Log, LogContents, read_log
from edgewright.stores.objects import FolderObjects
from edgewright.stores.queue import MemoryQueue, Queue, Queued
from edgewright.stores.shelf import ShelvedBlobs

__all__ = [
    "BlobStore",
    "DiskQueue",
    "Entry",
    "FolderBlobs",
    "FolderObjects",
    "LocalBlobStore",
    "Log",
    "LogContents",
    "MemoryQueue",
    "ObjectStore",
    "Queue",
    "Queued",
    "ShelvedBlobs",
    "read_log",
]
