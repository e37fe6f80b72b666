"""Every error that a user can meet: one tree, one sentence and one remedy each.

CareerError
    UsageError         2  wrong usage or bad input
    IndexMissing       3  no index, or a source that it does not hold
    ModelUnavailable   4  a model is not on this machine and cannot be fetched
    MachineError       5  the machine or stored data is at fault
        IndexCorrupt      a stored file is not the one that was published
        IndexForeign      the index was made by another embedder, chunker or format
        IndexBusy         another process is writing this index
        DiskFull          the disk refused a write
        PortInUse         another program listens there
"""

import errno
import os
from pathlib import Path


class CareerError(Exception):
    """What happened, in one line, and what to do about it."""

    exit_code = 1
    code = "error"

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"

    def to_dict(self) -> dict[str, str]:
        """The error object of the commands' JSON output."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy}


class UsageError(CareerError):
    """The caller's input is wrong."""

    exit_code = 2
    code = "usage"


class IndexMissing(CareerError):
    """There is no such index, or the index holds no such source."""

    exit_code = 3
    code = "index_missing"


class ModelUnavailable(CareerError):
    """A model is not on this machine and cannot be fetched."""

    exit_code = 4
    code = "model_unavailable"


class MachineError(CareerError):
    """The machine or the data stored on it is at fault."""

    exit_code = 5
    code = "machine"


class IndexCorrupt(MachineError):
    """A stored file is not the one that was published."""

    code = "index_corrupt"


class IndexForeign(MachineError):
    """The index was made by another embedder, chunker or format."""

    code = "index_foreign"


class IndexBusy(MachineError):
    """Another process is writing this index."""

    code = "index_busy"


class DiskFull(MachineError):
    """The disk refused a write."""

    code = "disk"


class PortInUse(MachineError):
    """Another program listens on the port."""

    code = "port_in_use"


def from_os_error(error: OSError, path: Path) -> MachineError:
    """`error`, met while writing below `path`, as the error that a user reads."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"no space left on the disk that holds {path}",
            "free some space or point CAREER_HOME at another disk, then run the command again",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MachineError(
            f"{path} cannot be written",
            "change its permissions or point CAREER_HOME at a folder of yours",
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return MachineError(
        f"the disk that holds {path} refused a write ({reason})",
        "check the disk, then run the command again",
    )
