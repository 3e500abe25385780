"""When a conversation moves from one connection to the next: one table over every state and happening.

A service that ends connections after some minutes, and has no way to resume, is given a new connection with the
history of the conversation, before the old one ends and at a moment when nobody notices. ``A`` is the connection that
serves, ``B`` the one that is to take over.
"""

from __future__ import annotations

from enum import Enum, auto

from attrs import frozen


class State(Enum):
    """How far a renewal has come."""

    STEADY = auto()
    """A serves; nothing is wanted."""
    SEEKING = auto()
    """A serves; a renewal is wanted, at the next good moment."""
    OPENING = auto()
    """A serves; B is being opened."""
    STANDBY = auto()
    """A serves; B is open, and takes over at the next good moment."""
    RESTING = auto()
    """A serves; B could not be opened, and is tried again after a while."""
    ALONE = auto()
    """A serves; there is no room for B beside it, so that A is closed first, at the next good moment."""
    LAST = auto()
    """A serves; there will be no other, since B was refused for good."""
    REOPENING = auto()
    """Nothing serves; B is being opened, and takes over at once."""
    WAITING = auto()
    """Nothing serves; B is tried again after a while."""
    OVER = auto()
    """It has ended, well or not."""


class Happening(Enum):
    """What happens to it."""

    WANTED = auto()
    """Time to look for a good moment: age, quiet, credentials that expire, changed settings."""
    SAFE = auto()
    """This is a good moment."""
    OVERDUE = auto()
    """There is no more time to wait for one."""
    OPENED = auto()
    """B is open."""
    CROWDED = auto()
    """B was refused because there are too many connections, or requests."""
    FAILED = auto()
    """B failed, in a way that may pass."""
    BARRED = auto()
    """B was refused for good: permission, content, a request that is wrong."""
    STALE = auto()
    """B has been standing by for too long."""
    LOST = auto()
    """A broke, in a way that a new connection mends."""
    REFUSED = auto()
    """A ended with an error that a new connection does not mend."""
    RESTED = auto()
    """The wait before the next attempt is over."""
    SPENT = auto()
    """No attempt is left."""
    LEFT = auto()
    """The conversation is over."""


class Act(Enum):
    """What is to be done."""

    NOTHING = auto()
    OPEN = auto()
    """Open B."""
    SWAP = auto()
    """B takes over: history, then the input from the cut on. A gets no more input and is closed properly."""
    BREAK = auto()
    """Close A, then open B."""
    DROP = auto()
    """Close B, it is not used."""
    WAIT = auto()
    """Wait before the next attempt."""
    RELEASE = auto()
    """B failed while A serves: nothing but to remember it."""
    GIVE_UP = auto()
    """End with the error."""
    CLOSE = auto()
    """Close whatever is open."""


_STAY = Act.NOTHING
_S, _H = State, Happening
_KEEPS: dict[State, dict[Happening, tuple[State, Act]]] = {
    State.STEADY: {
        _H.WANTED: (_S.SEEKING, _STAY),
        _H.OVERDUE: (_S.OPENING, Act.OPEN),
        _H.LOST: (_S.WAITING, Act.WAIT),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.SEEKING: {
        _H.SAFE: (_S.OPENING, Act.OPEN),
        _H.OVERDUE: (_S.OPENING, Act.OPEN),
        _H.LOST: (_S.WAITING, Act.WAIT),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.OPENING: {
        _H.OPENED: (_S.STANDBY, _STAY),
        _H.CROWDED: (_S.ALONE, Act.RELEASE),
        _H.FAILED: (_S.RESTING, Act.WAIT),
        _H.BARRED: (_S.LAST, Act.RELEASE),
        _H.LOST: (_S.REOPENING, _STAY),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.STANDBY: {
        _H.SAFE: (_S.STEADY, Act.SWAP),
        _H.OVERDUE: (_S.STEADY, Act.SWAP),
        _H.CROWDED: (_S.ALONE, Act.RELEASE),
        _H.FAILED: (_S.RESTING, Act.WAIT),
        _H.BARRED: (_S.LAST, Act.RELEASE),
        _H.STALE: (_S.SEEKING, Act.DROP),
        _H.LOST: (_S.STEADY, Act.SWAP),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.RESTING: {
        _H.RESTED: (_S.SEEKING, _STAY),
        _H.LOST: (_S.WAITING, Act.WAIT),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.ALONE: {
        _H.SAFE: (_S.REOPENING, Act.BREAK),
        _H.OVERDUE: (_S.REOPENING, Act.BREAK),
        _H.LOST: (_S.WAITING, Act.WAIT),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.LAST: {
        _H.LOST: (_S.OVER, Act.GIVE_UP),
        _H.REFUSED: (_S.OVER, Act.GIVE_UP),
    },
    State.REOPENING: {
        _H.OPENED: (_S.STEADY, Act.SWAP),
        _H.CROWDED: (_S.WAITING, Act.WAIT),
        _H.FAILED: (_S.WAITING, Act.WAIT),
        _H.BARRED: (_S.OVER, Act.GIVE_UP),
    },
    State.WAITING: {
        _H.RESTED: (_S.REOPENING, Act.OPEN),
        _H.SPENT: (_S.OVER, Act.GIVE_UP),
    },
    State.OVER: {},
}

TABLE: dict[tuple[State, Happening], tuple[State, Act]] = {
    (state, happening): _KEEPS[state].get(happening, (state, _STAY)) for state in State for happening in Happening
}
"""The next state and what to do, for every state and happening: what is not said changes nothing."""
TABLE |= {(state, _H.LEFT): (_S.OVER, Act.CLOSE) for state in State if state is not State.OVER}

SERVED = frozenset(State) - {State.REOPENING, State.WAITING, State.OVER}
"""The states in which a connection serves."""


@frozen
class Clocks:
    """When a connection has to be renewed, in seconds from its opening; all bounds can be changed.

    ``seek``: from then on the next good moment is taken. ``deadline``: then it is done at any moment; well below what
    the service allows. ``quiet``: nobody spoke for so long, which services also end. ``standby``: how long B may
    stand by without being used. ``unmoved``: how long changed settings wait for a good moment. ``margin``: how long
    before credentials expire a good moment is sought, and ``least``: how long before that it is done at any moment.
    ``shortest``: no connection is renewed sooner because of its credentials.
    """

    seek: float = 360.0
    deadline: float = 440.0
    quiet: float = 240.0
    standby: float = 20.0
    unmoved: float = 20.0
    margin: float = 180.0
    least: float = 30.0
    shortest: float = 60.0


@frozen
class Age:
    """The times of the connection that serves, on one clock: when it was opened, when somebody last spoke on it, when
    its credentials expire, and since when changed settings wait."""

    opened: float
    spoke: float
    expires: float | None = None
    changed: float | None = None

    def seek_at(self, clocks: Clocks) -> float:
        """From when on a renewal is wanted."""
        times = [self.opened + clocks.seek, self.spoke + clocks.quiet]
        if self.expires is not None:
            times.append(max(self.expires - clocks.margin, self.opened + clocks.shortest))
        if self.changed is not None:
            times.append(self.changed)
        return min(times)

    def force_at(self, clocks: Clocks) -> float:
        """From when on it is done at any moment."""
        times = [self.opened + clocks.deadline]
        if self.expires is not None:
            times.append(max(self.expires - clocks.least, self.opened + clocks.shortest))
        if self.changed is not None:
            times.append(self.changed + clocks.unmoved)
        return min(times)


@frozen
class Scene:
    """What is going on between user and assistant at time ``now``; indices are samples of the session's input.

    ``speaking``: the user speaks, as far as anybody knows. ``unanswered``: the first sample of what the user said
    that no reply has begun to answer, where it is known; ``open_question``: whether there is any such thing.
    ``generating``: a reply is being made; ``plays_until``: when what was made of it will have been played.
    ``tools``: calls without a result. ``sent``: what A was sent. ``answered``: the end of what A has answered.
    ``last_cut``: where A began. ``kept``: the oldest input that can be sent again.
    """

    now: float
    sent: int
    speaking: bool = False
    open_question: bool = False
    unanswered: int | None = None
    generating: bool = False
    plays_until: float = 0.0
    tools: int = 0
    answered: int = 0
    last_cut: int = 0
    kept: int = 0

    @property
    def safe(self) -> bool:
        """Whether nobody notices a change of connection now."""
        busy = self.speaking or self.open_question or self.generating or self.tools
        return not busy and self.now >= self.plays_until

    def cut(self, *, recent: int = 0) -> int:
        """The sample from which on B gets the input.

        What the user says or said without an answer goes to B as a whole. If nothing is known of that, so do the last
        ``recent`` samples that A was sent: it may have heard a beginning without telling yet. Nothing that was
        answered is sent again, and a cut never lies before an earlier one.
        """
        at = self.sent - recent
        if self.unanswered is not None and (self.open_question or self.speaking):
            at = self.unanswered
        return min(max(at, self.answered, self.last_cut, self.kept), self.sent)


@frozen
class Look:
    """What is seen at time ``now``: the ``age`` and the ``scene`` of the connection that serves (None: none does);
    when the present wait is over; when B was ``opened``, and whether settings changed since (``outdated``); whether
    A is ``silent`` though it has to say something."""

    now: float
    rested: float = 0.0
    age: Age | None = None
    scene: Scene | None = None
    opened: float = 0.0
    outdated: bool = False
    silent: bool = False


_OF_SILENCE = dict.fromkeys((_S.STEADY, _S.SEEKING, _S.STANDBY, _S.ALONE), _H.OVERDUE)
_OF_SILENCE |= dict.fromkeys((_S.RESTING, _S.LAST), _H.LOST)
"""What is done when A is silent: B is tried beside it, and if there can be none, A is given up."""


def brings(state: State, look: Look, clocks: Clocks) -> Happening | None:
    """What the time and the scene bring about in this state, if anything."""
    now, age = look.now, look.age
    if look.silent and state in SERVED:
        return _OF_SILENCE.get(state)
    if state in (State.RESTING, State.WAITING):
        return Happening.RESTED if now >= look.rested else None
    if age is None or look.scene is None or state not in (State.STEADY, State.SEEKING, State.STANDBY, State.ALONE):
        return None
    if state is State.STEADY:
        return Happening.WANTED if now >= age.seek_at(clocks) else None
    if state is State.STANDBY and look.outdated:
        return Happening.STALE
    if look.scene.safe:
        return Happening.SAFE
    if now >= age.force_at(clocks):
        return Happening.OVERDUE
    return Happening.STALE if state is State.STANDBY and now >= look.opened + clocks.standby else None


def rest(attempt: int, *, first: float = 1.0, most: float = 15.0) -> float:
    """How long to wait, in seconds, before B is tried again while A still serves; ``attempt`` counts from 0."""
    return min(first * 2.0 ** min(attempt, 16), most)
