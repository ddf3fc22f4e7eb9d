"""What can go wrong on a node. The loop logs it, the command line prints it with its code."""

from __future__ import annotations

from commonweal.errors import Conflict, InvalidInput, NotFound, Unavailable


class ConfigInvalid(InvalidInput):
    """Details: `file`, `line` and `column` (from 1) where known, `field` as a dotted path."""

    code = "config-invalid"


class SetupIncomplete(InvalidInput):
    code = "setup-incomplete"


class ConfigExists(Conflict):
    code = "config-exists"


class JobNotServed(Conflict):
    """This node cannot or may not work on a job; asking again will not change that."""

    code = "job-not-served"


class SlotTaken(Conflict):
    """Another value was signed for this (job, round, slot): a second one would be slashed."""

    code = "slot-taken"


class JournalForeign(Conflict):
    """The journal belongs to another chain or contract."""

    code = "journal-foreign"


class ModelUnusable(InvalidInput):
    """Content agreed on chain that is not the model it claims to be."""

    code = "model-unusable"


class MessageRefused(Conflict):
    """No coordinator takes the message, and there is no gas to send it alone."""

    code = "message-refused"


class NotRegistered(NotFound):
    code = "provider-not-registered"


class NodeRunning(Conflict):
    code = "node-running"


class NoOwnerKey(Conflict):
    code = "owner-key-missing"


class NoCoordinator(Unavailable):
    code = "no-coordinator"


class NotAMember(NotFound):
    code = "not-a-member"
