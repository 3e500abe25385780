from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

_PROJECT = """
    import asyncio, sys
    import pytest, pytest_asyncio
    from voiceloop import clock

    @pytest_asyncio.fixture
    async def slow_thing():
        began = clock.now()
        await asyncio.sleep(60)
        yield clock.now() - began
        await asyncio.sleep(60)

    @pytest.mark.asyncio
    async def test_before():
        assert type(asyncio.get_running_loop()).__name__ != "VirtualTimeLoop"

    @pytest.mark.asyncio
    @pytest.mark.virtual_time
    async def test_marked(slow_thing):
        assert type(asyncio.get_running_loop()).__name__ == "VirtualTimeLoop"
        assert slow_thing == 60
        assert clock.now() == 1060
        assert clock.utcnow().isoformat() == "2026-01-01T00:01:00+00:00"

    ids = []

    @pytest.mark.asyncio
    @pytest.mark.virtual_time(seed=5)
    @pytest.mark.parametrize("n", [1, 2])
    async def test_seed(n):
        ids.append(clock.new_id())
        assert ids[0] == ids[-1]

    @pytest.mark.asyncio
    async def test_after():
        assert type(asyncio.get_running_loop()).__name__ != "VirtualTimeLoop"
        assert clock.new_id() not in ids

    def test_plain():
        pass
"""


def _pytest(folder: Path, text: str, *options: str, conftest: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "test_project.py").write_text(textwrap.dedent(text))
    if conftest:
        (folder / "conftest.py").write_text(textwrap.dedent(conftest))
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers"]
    return subprocess.run(
        [*command, "-o", "asyncio_default_fixture_loop_scope=function", *options, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_marked_and_unmarked_tests_live_together_without_a_warning(tmp_path: Path) -> None:
    done = _pytest(tmp_path, _PROJECT, "-W", "error")
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout.lower()


def test_a_projects_own_loop_factory_is_kept(tmp_path: Path) -> None:
    conftest = """
        import asyncio
        class Own(asyncio.SelectorEventLoop): pass
        def pytest_asyncio_loop_factories(config, item):
            return {"own": Own}
    """
    test = """
        import asyncio, pytest
        @pytest.mark.asyncio
        async def test_own():
            assert type(asyncio.get_running_loop()).__name__ == "Own"
        @pytest.mark.asyncio
        @pytest.mark.virtual_time
        async def test_virtual():
            assert type(asyncio.get_running_loop()).__name__ == "VirtualTimeLoop"
    """
    done = _pytest(tmp_path, test, conftest=conftest)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_without_a_marker_nothing_is_loaded(tmp_path: Path) -> None:
    test = """
        import sys
        def test_light():
            assert "voiceloop.testing.plugin" in sys.modules
            for heavy in ("numpy", "voiceloop.testing.virtual_time", "voiceloop.testing.scripted"):
                assert heavy not in sys.modules, heavy
    """
    done = _pytest(tmp_path, test)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_wrong_marker_is_refused(tmp_path: Path) -> None:
    markers = ("virtual_time(7)", "virtual_time(sed=7)", "virtual_time(seed='x')")
    tests = (f"@pytest.mark.{marker}\ndef test_{n}(): pass\n" for n, marker in enumerate(markers))
    done = _pytest(tmp_path, "import pytest\n" + "".join(tests))
    assert done.returncode != 0
    for n in range(len(markers)):
        assert f"test_project.py::test_{n}" in done.stderr, done.stdout + done.stderr


_EMULATED = """
    import sys
    import pytest
    from voiceloop.testing.scripted import silence

    assert "voiceloop.testing.aws" not in sys.modules

    @pytest.mark.asyncio
    async def test_default(aws_emulator):
        assert aws_emulator.url.startswith("https://127.0.0.1:")
        assert aws_emulator.backing.recognizer.name == "pocketsphinx"

    @pytest.mark.asyncio
    @pytest.mark.aws_emulator(timers=0.5)
    async def test_marked(aws_emulator):
        assert aws_emulator.timers.of(15) == 7.5

    @pytest.mark.asyncio
    @pytest.mark.virtual_time
    async def test_virtual(aws_emulator):
        assert aws_emulator.account(memory=True).wire is not None
"""


def test_the_emulator_is_a_fixture(tmp_path: Path) -> None:
    done = _pytest(tmp_path, _EMULATED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
