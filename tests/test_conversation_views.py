"""Every view is a valid history, whatever happened and whatever the limits: random sessions, and planted bugs."""

from __future__ import annotations

from itertools import product

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from voiceloop.conversation import (
    OPENING,
    AssistantEntry,
    Conversation,
    Entry,
    HistoryLimits,
    ImagePart,
    ToolCallEntry,
    ToolResultEntry,
    UserEntry,
    cache,
    entry_from_json,
    entry_to_json,
    history_problems,
    log,
    view,
)
from voiceloop.errors import BadInput
from voiceloop.events import Heard

SIZES = [(None, None), (64, 64), (None, 64), (100, None), (160, 80), (600, 200)]
ALL_LIMITS = [
    HistoryLimits(total, message, tools, images)
    for (total, message), tools, images in product(SIZES, (True, False), (True, False))
]

texts = st.text(alphabet="abc dé😀\n\ud800", max_size=40)
spoken = st.builds("{}{}".format, st.sampled_from(["x", "\ny", " é", "😀"]), texts)
pictures = st.just((ImagePart(b"\xff\xd8", "image/jpeg"),))
arguments = st.dictionaries(spoken, st.none() | st.integers() | texts, max_size=3)
heards = st.builds(Heard, texts, st.floats(0, 1e6), dropped=st.none() | texts)
ids = st.sampled_from(["", "a", "b", "c", "a_0"])
stored = st.lists(
    st.builds(UserEntry, texts, st.just(()) | pictures, st.none() | st.floats(0, 1))
    | st.builds(AssistantEntry, st.integers(1, 3), texts, st.none() | heards)
    | st.builds(ToolCallEntry, st.integers(1, 3), ids, st.sampled_from(["look", " ", "find"]), arguments)
    | st.builds(ToolResultEntry, ids, st.sampled_from(["look", "", "find"]), texts, st.booleans()),
    max_size=12,
)


class Talk(RuleBasedStateMachine):
    """A session that does anything that is allowed, in any order, beside a simple account of what was said."""

    @initialize()
    def begin(self):
        self.begin_with([])

    def begin_with(self, entries: list[Entry]) -> None:
        self.talk = Conversation(entries)
        self.loaded = tuple(entries)
        self.users: list[int] = []
        self.said: dict[int, str] = {}
        self.heard: dict[int, str] = {}
        self.open: list[int] = []
        self.calls: list[str] = []
        self.pending: list[str] = []
        self.settled: tuple[Entry, ...] = self.loaded

    def pick(self, data: st.DataObject, choices: list) -> object:
        return data.draw(st.sampled_from(choices))

    @rule(text=spoken, images=st.just(()) | pictures, confidence=st.none() | st.floats(0, 1))
    def user(self, text, images, confidence):
        self.users.append(self.talk.user(text, images=images, confidence=confidence))

    @rule()
    def picture(self):
        self.users.append(self.talk.user(" ", images=[ImagePart(b"\xff", "image/png")]))

    @precondition(lambda self: self.users)
    @rule(data=st.data(), text=spoken)
    def amend(self, data, text):
        index = self.pick(data, self.users)
        if self.talk.amendable(index):
            self.talk.amend_user(index, text)
        else:
            with pytest.raises(BadInput):
                self.talk.amend_user(index, text)

    @precondition(lambda self: self.users)
    @rule()
    def withdraw(self):
        try:
            self.talk.withdraw_user(self.users[-1])
        except BadInput:
            return
        self.users.pop()

    @rule(text=texts)
    def assistant(self, text):
        turn = len(self.said) + 1
        self.talk.assistant(turn)
        self.said[turn] = ""
        self.open.append(turn)
        self.write(turn, text)

    def write(self, turn, text):
        self.talk.wrote(turn, text)
        self.said[turn] += text

    @precondition(lambda self: self.open)
    @rule(data=st.data(), text=texts)
    def wrote(self, data, text):
        self.write(self.pick(data, self.open), text)

    @rule(data=st.data(), question=spoken, answer=texts, arguments=st.none() | arguments, part=st.floats(0, 1))
    def exchange(self, data, question, answer, arguments, part):
        """A whole exchange, so that sessions get long; perhaps with a call in it."""
        self.user(question, (), None)
        self.assistant(answer)
        turn = self.open[-1]
        if arguments is not None:
            self.ask(turn, f"call{len(self.calls)}", arguments)
            if data.draw(st.booleans()):
                self.answer(self.calls[-1], answer, False)
            self.write(turn, answer)
        self.hear_part(turn, part)
        self.talk.settle(turn)
        self.open.remove(turn)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), part=st.floats(0, 1))
    def hear(self, data, part):
        self.hear_part(self.pick(data, self.open), part)

    def hear_part(self, turn, part):
        text = self.said[turn][: round(part * len(self.said[turn]))]
        self.talk.heard(turn, Heard(text, ms=len(text) * 60.0))
        self.heard[turn] = text

    @precondition(lambda self: self.open)
    @rule(data=st.data(), everything=st.booleans())
    def settle(self, data, everything):
        turn = self.pick(data, self.open)
        if everything or turn not in self.heard:
            self.talk.heard(turn, Heard(self.said[turn]))
            self.heard[turn] = self.said[turn]
        self.talk.settle(turn)
        self.open.remove(turn)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def drop(self, data):
        turn = self.pick(data, self.open)
        if self.heard.get(turn, "").strip():
            with pytest.raises(BadInput):
                self.talk.drop(turn)
        else:
            self.talk.drop(turn)
            self.open.remove(turn)
            self.said[turn] = ""

    @precondition(lambda self: self.open)
    @rule(data=st.data(), arguments=arguments, loaded_id=st.booleans())
    def tool_call(self, data, arguments, loaded_id):
        free = {e.call for e in self.loaded if isinstance(e, ToolCallEntry) and e.call} - set(self.calls)
        call = min(free) if free and loaded_id else f"call{len(self.calls)}"
        self.ask(self.pick(data, self.open), call, arguments)

    def ask(self, turn, call, arguments):
        self.talk.tool_call(turn, call, "find", arguments)
        self.calls.append(call)
        self.pending.append(call)

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), result=texts | st.just("x" * 300), error=st.booleans())
    def tool_result(self, data, result, error):
        self.answer(self.pick(data, self.pending), result, error)

    def answer(self, call, result, error):
        self.talk.tool_result(call, result, error)
        self.pending.remove(call)
        with pytest.raises(BadInput):
            self.talk.tool_result(call, result, error)

    @rule()
    def finish(self):
        self.talk.finish()
        for turn in self.open:
            self.heard.setdefault(turn, "")
        self.open.clear()
        assert self.talk.settled == len(self.talk.entries)

    @rule(limits=st.sampled_from(ALL_LIMITS))
    def look(self, limits):
        messages = self.talk.view(limits)
        assert history_problems(messages, limits) == ()
        whole = self.talk.view(attrs.evolve(limits, total_bytes=None))
        assert bool(messages) == bool(whole)
        assert not messages or messages[-1].role == whole[-1].role

    @invariant()
    def what_is_final_stays(self):
        entries, settled = self.talk.entries, self.talk.settled
        assert entries[: len(self.settled)] == self.settled
        assert settled >= len(self.settled)
        self.settled = entries[:settled]

    @invariant()
    def pieces_make_the_whole(self):
        """A view put together from blocks is the one made in one piece."""
        if not self.loaded:
            entries = self.talk.entries
            limits = HistoryLimits(message_bytes=64)
            asked = {entry.call: entry for entry in entries if isinstance(entry, ToolCallEntry)}
            assert self.talk.view(limits) == view.render(entries, limits, asked)

    def teardown(self):
        if not hasattr(self, "talk"):
            return
        for limits in ALL_LIMITS:
            self.look(limits)
        entries = self.talk.entries
        assert [entry_from_json(entry_to_json(entry)) for entry in entries] == list(entries)
        if not self.loaded:
            assert Conversation(entries).view() == self.talk.view()
            words = [m.text for m in self.talk.view() if m.role == "assistant"]
            assert sorted("".join("".join(words).split())) == sorted(
                "".join("".join(view.clean(self.heard.get(turn, said)) for turn, said in self.said.items()).split())
            )
            everything = " ".join(m.text for m in self.talk.view() if m.role == "user")
            for entry in entries:
                assert not isinstance(entry, UserEntry) or view.clean(entry.text) in everything


class Resumed(Talk):
    """The same, begun with whatever a memory may give back."""

    @initialize(entries=stored)
    def begin(self, entries):
        self.begin_with(entries)


def run(
    examples: int,
    *,
    machine: type[Talk] = Talk,
    phases: tuple[Phase, ...] = (Phase.explicit, Phase.generate, Phase.shrink),
) -> None:
    few = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=True,
            phases=phases,
            suppress_health_check=few,
        ),
    )


@pytest.mark.parametrize("machine", [Talk, Resumed])
def test_random_sessions_make_only_valid_views(machine: type[Talk]) -> None:
    run(100, machine=machine)


class NeverRunsOut(Conversation):
    """Bug: what is settled can still be corrected."""

    def amendable(self, index):
        return True

    def _user(self, index):
        return self._log[index]


class KeepsAll(Conversation):
    """Bug: a dropped turn stays."""

    def drop(self, turn):
        self._turns[turn].state = "dropped"
        self._advance()


class HearsAll(Conversation):
    """Bug: what was said counts as heard."""

    def heard(self, turn, heard):
        super().heard(turn, attrs.evolve(heard, text=self._said(self._turns[turn])))


class HastyViews(cache.Views):
    """Bug: every settled user entry begins a block."""

    def settled(self, final):
        for index in range(self._scanned, final):
            if isinstance(self._log[index], UserEntry) and index:
                self._bounds.append(index)
        self._scanned = max(final, self._scanned)


class StaleViews(cache.Views):
    """Bug: a view is not made again after a change."""

    def changed(self):
        pass


def _dangling(message, limits):
    return message


def _merges_nothing(group, other):
    group.texts = other.texts


BUGS = {
    "pending calls stay open": (view, "_answer", lambda asker, answers, limits: None),
    "a result loses its call": (view, "_detached", _dangling),
    "characters count, not bytes": (view, "_text_bytes", len),
    "cuts leave blanks": (view, "_cut_text", lambda text, size: text.encode()[:size].decode("utf-8", "ignore")),
    "blanks are words": (view, "clean", lambda text: text.encode("utf-8", "replace").decode()),
    "surrogates go through": (view, "clean", str.strip),
    "the limit of a message is forgotten": (view, "_fitted", lambda message, limit: message),
    "oversized calls stand": (view, "_room_for", lambda asker, results, limit: True),
    "neighbours are overwritten": (view._Group, "absorb", _merges_nothing),
    "what is settled changes": (log.Conversation, "amendable", NeverRunsOut.amendable),
    "blocks begin anywhere": (log, "Views", HastyViews),
    "views go stale": (log, "Views", StaleViews),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, broken = BUGS[bug]
    monkeypatch.setattr(place, name, broken)
    with pytest.raises((AssertionError, UnicodeError, BadInput)):
        run(150, phases=(Phase.generate,))


@pytest.mark.parametrize("broken", [NeverRunsOut, KeepsAll, HearsAll])
def test_a_broken_log_is_found(broken: type[Conversation], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "Conversation", broken)
    with pytest.raises((AssertionError, UnicodeError, BadInput)):
        run(150, phases=(Phase.generate,))


def test_the_opening_is_what_makes_a_greeting_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Conversation([AssistantEntry(1, "Hello.")])
    assert [message.text for message in talk.view()] == [OPENING, "Hello."]
    assert history_problems(talk.view()) == ()
    assert history_problems(talk.view()[1:]) != ()
