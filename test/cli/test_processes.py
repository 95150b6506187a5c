# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Children of the demo: watched, stopped by their pid, gone with it; and the environment that they and it share."""
from __future__ import annotations

import os
import signal
import socket
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from vljepa_ros.cli import processes
from vljepa_ros.cli.processes import Child, ProcessError, environment, fastdds_profile, stop_all

QUICK = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; print('up', flush=True); time.sleep(60)"
DYING = "print('one'); print('the reason'); raise SystemExit(3)"


@pytest.fixture
def child(tmp_path, monkeypatch):
    """`child(source)`: a Child that runs this source; all are killed afterwards."""
    made = []

    def make(source, talks=False):
        name = f"module_{len(made)}"
        (tmp_path / f"{name}.py").write_text(source)
        env = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
        made.append(Child(name, name, [], tmp_path / f"{name}.log", env, talks))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def up(one, wait_until):
    wait_until(lambda: "up" in one.log.read_text(), what="the child to run")


def test_a_dead_child_is_told_of_with_its_last_words(child, wait_until):
    one = child(DYING)
    one.process.wait(20)
    with pytest.raises(ProcessError, match=r"(?s)module_0 ended \(exit status 3\).*module_0\.log.*one.*the reason"):
        one.check()


def test_a_killed_child_is_told_of_by_its_signal(child, wait_until):
    one = child(QUICK)
    up(one, wait_until)
    one.check()
    os.kill(one.pid, signal.SIGKILL)
    one.process.wait(20)
    with pytest.raises(ProcessError, match=r"ended \(SIGKILL\)"):
        one.check()


def test_all_are_stopped_even_the_stubborn_and_the_dead(child, wait_until):
    quick, stubborn, dying = child(QUICK), child(STUBBORN), child(DYING)
    up(quick, wait_until), up(stubborn, wait_until)
    dying.process.wait(20)
    stubborn.stop(0.2)
    stop_all([quick, stubborn, dying])
    assert quick.process.returncode == -signal.SIGINT or quick.process.returncode == 1
    assert stubborn.process.returncode == -signal.SIGKILL
    assert dying.process.returncode == 3


def test_ctrl_c_in_the_terminal_does_not_reach_children_by_itself(child, wait_until):
    one = child(QUICK)
    assert os.getpgid(one.pid) == one.pid != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word to orphans is Linux's own")
def test_a_killed_parent_leaves_no_child(start, tmp_path, wait_until):
    source = f"""
        import os, sys, time
        from pathlib import Path
        sys.path[:0] = {[str(Path(processes.__file__).parents[2])]!r}
        from vljepa_ros.cli.processes import Child
        os.chdir({str(tmp_path)!r})
        Path("orphan.py").write_text({QUICK!r})
        child = Child("orphan", "orphan", [], Path("orphan.log"), dict(os.environ))
        print(child.pid, flush=True)
        time.sleep(60)
    """
    (tmp_path / "parent.py").write_text(textwrap.dedent(source))
    parent = start("parent", cwd=tmp_path)
    pid = int(parent.stdout.readline())
    wait_until(
        lambda: (tmp_path / "orphan.log").exists() and "up" in (tmp_path / "orphan.log").read_text(), what="the child to run"
    )
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    wait_until(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, what="the orphan's end"
    )


def test_the_environment_is_local_and_has_room_for_images(monkeypatch):
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "0")
    env = environment(domain=17)
    assert (env["ROS_DOMAIN_ID"], env["ROS_AUTOMATIC_DISCOVERY_RANGE"]) == ("17", "LOCALHOST")
    assert "ROS_LOCALHOST_ONLY" not in env
    profile = Path(env["FASTDDS_DEFAULT_PROFILES_FILE"])
    assert env["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(profile)
    assert "<segment_size>33554432</segment_size>" in profile.read_text()


def test_without_a_profile_there_is_none_to_name(monkeypatch):
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert fastdds_profile("no_such_profile.xml") is None


def test_a_domain_that_somebody_is_in_is_left_alone():
    taken = processes.free_domain()
    assert taken in processes.DOMAINS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(("", 7400 + 250 * taken + 10))
        assert processes.free_domain() != taken
