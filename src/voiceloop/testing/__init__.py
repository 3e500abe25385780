"""The testing kit: what voiceloop's own tests use, for tests of your service and of your providers.

- :mod:`voiceloop.testing.virtual_time`: an event loop on which an hour passes at once, and
  ``@pytest.mark.virtual_time(seed=0)``, which pytest finds by itself.
- :mod:`voiceloop.testing.scripted`: a recognizer, reasoner, synthesizer, speech model, turn detector and caller that
  do what a script says, when it says so, faults included.
- :mod:`voiceloop.testing.event_log`: checks any session's events against what a session promises.
- :mod:`voiceloop.testing.conformance`: checks a provider of yours against the contract of its interface.
- :mod:`voiceloop.testing.aws`: Transcribe, Bedrock, Polly and Nova Sonic on this machine, over their real protocols.

::

    @pytest.mark.virtual_time
    async def test_the_assistant_answers() -> None:
        model = Cascade(ScriptedRecognizer(["hello"]), ScriptedReasoner(["Good day."]), ScriptedSynthesizer())
        caller = ScriptedCaller([Speak(600), Until(TurnEnded)])
        async with Session(model, turns=ScriptedTurns()) as session:
            events = await caller.talk(session)
        assert check_log(events) == []
"""
