"""What was called, by which right, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from attrs import define, field

from voiceloop.testing.aws.exchange import Caller, Refusal


@define(eq=False)
class Call:
    """One request. ``status`` is None until the response begins.

    ``error``: the code that it was refused or ended with, in a stream too; "connection lost" when the caller left
    before the end. ``message``: the words of that error. ``faults``: the kinds of the scripted faults that struck it.
    ``over``: it has ended.
    """

    service: str
    operation: str
    actions: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    error: str | None = None
    region: str = ""
    connection: int = 0
    over: bool = False
    faults: list[str] = field(factory=list)
    message: str = ""


@define(eq=False)
class Record:
    """All calls in order, and the IAM actions that they needed. ``denied``: patterns such as ``polly:*``."""

    denied: set[str] = field(factory=set)
    account: str = "123456789012"
    calls: list[Call] = field(factory=list)

    @property
    def actions(self) -> set[tuple[str, str]]:
        """The actions and resources that were asked for and allowed."""
        return {pair for call in self.calls for pair in call.actions}

    def begin(self, service: str, operation: str, connection: int) -> Call:
        """A call came in."""
        call = Call(service, operation, connection=connection)
        self.calls.append(call)
        return call

    def authorise(self, call: Call, caller: Caller, pairs: Iterable[tuple[str, str]]) -> None:
        """Allow ``call`` what it needs, or raise the Refusal that IAM gives."""
        call.region = caller.region
        wanted = tuple(pairs)
        for action, resource in wanted:
            if any(matches(action, pattern) for pattern in self.denied):
                raise Refusal(403, "AccessDeniedException", denial(self.account, action, resource))
        call.actions = wanted


def matches(action: str, pattern: str) -> bool:
    """Whether a pattern as policies have them, in any case, is of ``action``."""
    return fnmatchcase(action.lower(), pattern.lower())


def denial(account: str, action: str, resource: str) -> str:
    """IAM's words for a missing permission (IAM user guide, "Troubleshoot access denied error messages")."""
    return (
        f"User: arn:aws:iam::{account}:user/voiceloop is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
