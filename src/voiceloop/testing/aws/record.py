"""What was called, by which right, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from fnmatch import fnmatchcase

from attrs import define, field

from voiceloop.errors import UnknownName
from voiceloop.testing.aws.exchange import Caller, Refusal
from voiceloop.testing.aws.words import ACTIONS
from voiceloop.testing.checks import of_kind, several


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


class Denied(MutableSet[str]):
    """Patterns of IAM actions, such as ``polly:*``; ``known``: only those that an action of the services here fits.

    Raises BadInput for what is no list of patterns, UnknownName for one that nothing fits.
    """

    def __init__(self, patterns: Iterable[str] = (), *, known: bool = True) -> None:
        self._known = known
        self._patterns: set[str] = set()
        for pattern in several("denied", patterns, str, "IAM actions, such as 'polly:*'"):
            self.add(pattern)

    def add(self, value: str) -> None:
        """Deny the actions that ``value`` fits too."""
        of_kind("denied", value, str)
        if self._known and not any(matches(action, value) for action in ACTIONS):
            raise UnknownName("IAM action", value, {*ACTIONS, *(f"{name.partition(':')[0]}:*" for name in ACTIONS)})
        self._patterns.add(value)

    def discard(self, value: str) -> None:
        """Deny no longer what ``value`` said."""
        self._patterns.discard(value)

    def __contains__(self, value: object) -> bool:
        return value in self._patterns

    def __iter__(self) -> Iterator[str]:
        return iter(self._patterns)

    def __len__(self) -> int:
        return len(self._patterns)

    def __repr__(self) -> str:
        return f"Denied({sorted(self._patterns)})"


@define(eq=False)
class Record:
    """All calls in order, and the IAM actions that they needed."""

    denied: MutableSet[str] = field(factory=Denied)
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
