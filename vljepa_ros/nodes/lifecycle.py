# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes share: transitions that never raise, autostart, release in one place, a process that ends with status 0.

Where the device is lost (a sticky CUDA error), no transition helps: the node goes through its error state to finalized, says so
in /diagnostics, and the process ends with DEVICE_LOST, so that launch starts it again.

Parameters and weights are read on configure, so that activate takes no time; deactivate keeps the model. Services exist in every
state and say in which one they would answer.
"""
from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future

from vljepa_ros.nodes.clocks import waits_for_clock
from vljepa_ros.nodes.diagnostics import Diagnostics, Status
from vljepa_ros.nodes.logs import RosHandler
from vljepa_ros.nodes.parameters import ParameterError, Parameters
from vljepa_ros.nodes.services import Services
from vljepa_ros.nodes.statistics import Recent
from vljepa_ros.nodes.topics import Outputs

SUCCESS, FAILURE, ERROR = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.ERROR
DEVICE_LOST = 70  # exit status, EX_SOFTWARE of sysexits.h
UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = "unconfigured", "inactive", "active", "finalized"


class ManagedNode(LifecycleNode):
    """A node fills in four methods, and two more if it has live parameters. They may raise what they like; `deactivate` and
    `release` are called in any state."""

    def __init__(self, name: str, groups: Mapping[str, type], **kwargs: Any) -> None:
        """`groups`: parameter prefix -> dataclass; the group "" holds a NodeParams. `kwargs` go to rclpy's node."""
        self.parameters: Parameters | None = None
        super().__init__(name, **kwargs)
        self.state = UNCONFIGURED
        self.fault = ""  # the latest transition that failed, and why; "" since one succeeded
        self._handler = RosHandler(self.get_logger())
        self._handler.attach()
        self.parameters = Parameters(self, groups, self._locked, self._check_live, self._change_live)
        self.diagnostics = Diagnostics(self)
        self.diagnostics.add("node", self._report)
        self.outputs = Outputs(self)
        self.requests = Services(self, self._why_no_answer)
        self.diagnostics.add("services", self.requests.report)
        self._recent = Recent()
        self._destroyed = False
        self.ended = Future()  # done with the exit status where the node cannot go on in this process
        self._lost = ""  # what became of the device
        self._lost_guard = self.create_guard_condition(self._give_up)
        self._guard_change_state()
        self._start_timer = self.create_timer(0.0, self._start, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # what a node fills in

    def configure(self) -> None:
        """Read parameters, load and warm up what is slow, make publishers with `outputs`."""
        raise NotImplementedError

    def activate(self) -> None:
        """Subscribe and start the worker. Publishers are enabled already."""
        raise NotImplementedError

    def deactivate(self) -> None:
        """Undo `activate`."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what `configure` made. The node is not active any more; its publishers are destroyed afterwards."""
        raise NotImplementedError

    def check_live(self, prefix: str, params: Any) -> None:
        """Raise for live parameters that do not fit what was configured. `params`: the group's dataclass, changed."""

    def change_live(self) -> None:
        """Take over the live parameters; the node is inactive or active."""

    # parameters, from wherever they are set: rclpy's services call the second of these

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """As rclpy's, each by itself."""
        return [self.set_parameters_atomically([one]) for one in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's, but what has the wrong type is refused by name, and whole numbers do for numbers."""
        try:
            fitting = self.parameters.fitting(parameter_list) if self.parameters is not None else parameter_list
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return super().set_parameters_atomically(fitting)

    # transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Failure leads back to unconfigured: the process lives, and the node can be configured again."""
        return self._transition("configure", [self.configure], INACTIVE, undo=[self._release], failed=(FAILURE, UNCONFIGURED))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Failure leads back to inactive, with the model loaded."""
        steps = [lambda: self._entities(super(ManagedNode, self).on_activate, state), self.activate]
        undo = [self.deactivate, lambda: self._entities(super(ManagedNode, self).on_deactivate, state)]
        return self._transition("activate", steps, ACTIVE, undo=undo, failed=(FAILURE, INACTIVE))

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """An error leads through on_error to unconfigured."""
        steps = [self._stop_or_raise, lambda: self._entities(super(ManagedNode, self).on_deactivate, state)]
        return self._transition("deactivate", steps, INACTIVE)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """An error leads through on_error to unconfigured as well."""
        return self._transition("cleanup", [self._release], UNCONFIGURED)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state. An error leads through on_error to unconfigured instead of finalized."""
        return self._transition("shutdown", [self._release], FINALIZED)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Failure leads to finalized: what could not be released must not be made a second time, nor on a device that is lost."""
        fault = self.fault
        result = self._transition("release", [self._release], UNCONFIGURED, failed=(FAILURE, FINALIZED))
        self.fault = self.fault or fault
        if self._lost:
            result, self.state = FAILURE, FINALIZED
        return result

    def device_lost(self, problem: str) -> None:
        """From any thread: the error state, and the process's end."""
        self._lost = problem
        self._lost_guard.trigger()

    def _give_up(self) -> None:
        """The executor's: one last word, then the end."""
        if self.ended.done():
            return
        self.get_logger().fatal(self._lost)
        if self.state == ACTIVE:
            self.trigger_deactivate()  # raises, and so goes through on_error to finalized
        self.fault, self.state = self._lost, FINALIZED
        self.diagnostics.publish()
        self.ended.set_result(DEVICE_LOST)

    def _stop_or_raise(self) -> None:
        self.deactivate()
        if self._lost:
            raise RuntimeError(self._lost)

    def _release(self) -> None:
        """The one place where things are let go of, from whatever state; what fails does not keep the rest."""
        try:
            self.deactivate()
        finally:
            try:
                self.release()
            finally:
                self.outputs.release()

    def _transition(
        self, name: str, steps: Sequence[Callable[[], None]], goal: str, undo: Sequence[Callable[[], None]] = (),
        failed: tuple[TransitionCallbackReturn, str] = (ERROR, UNCONFIGURED),
    ) -> TransitionCallbackReturn:
        """Run `steps`. Should one raise: log one line, run `undo`, answer `failed`. rclpy would swallow it or die of it."""
        try:
            for step in steps:
                step()
        except Exception as error:
            self.fault = f"{name} failed: {_one_line(error)}"
            self.get_logger().error(self.fault)
            for step in undo:
                try:
                    step()
                except Exception as second:
                    self.get_logger().error(f"undoing {name} failed too: {_one_line(second)}")
            result, self.state = failed
            return result
        self.fault, self.state = "", goal
        self.get_logger().info(f"{name}: now {goal}")
        return SUCCESS

    @staticmethod
    def _entities(transition: Callable[[LifecycleState], TransitionCallbackReturn], state: LifecycleState) -> None:
        if transition(state) != SUCCESS:
            raise RuntimeError("a publisher refused")

    # the rest

    def destroy_node(self) -> None:
        """Stop and release whatever the state; a second call does nothing."""
        if self._destroyed:
            return
        self._destroyed = True
        self._handler.detach()
        try:
            self._release()
        except Exception as error:
            self.get_logger().error(f"while ending: {_one_line(error)}")
        super().destroy_node()
        # rclpy leaves the state machine to the garbage collector, and with it the lifecycle services and the whole participant:
        # until then a dead node of our name is in the graph, and takes requests that nobody answers. Dropped, not destroyed under
        # a transition that may still run: that one then ends with an exception instead of a null pointer.
        vars(self).pop("_state_machine", None)

    def _start(self) -> None:
        """Once, as soon as somebody spins the node."""
        self._start_timer.cancel()
        if not self.parameters.value("autostart") or self.state != UNCONFIGURED:
            return
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()
        if self.state == UNCONFIGURED:
            name = self.get_fully_qualified_name()
            self.get_logger().error(
                f"autostart: stays unconfigured; mend the cause, then `ros2 lifecycle set {name} configure` and `... activate`"
            )

    def _locked(self) -> str:
        if self.state in (INACTIVE, ACTIVE):
            return "parameters are read on configure; bring the node to unconfigured first (deactivate, cleanup)"
        return ""

    def _check_live(self, prefix: str, params: Any) -> None:
        """Whatever is wrong with them is a refusal. rclpy would die of anything but ValueError."""
        try:
            self.check_live(prefix, params)
        except Exception as error:
            raise ValueError(_one_line(error)) from error

    def _change_live(self) -> None:
        """rclpy would die of what is raised here."""
        try:
            self.change_live()
        except Exception as error:
            self.get_logger().error(f"the changed parameters could not be taken over: {_one_line(error)}")

    def _why_no_answer(self) -> str:
        name, ways = self.get_fully_qualified_name(), {UNCONFIGURED: "configure` and `... activate", INACTIVE: "activate"}
        remedy = f"`ros2 lifecycle set {name} {ways[self.state]}`" if self.state in ways else "start it again"
        return f"{name} is {self.state} and answers nothing; {remedy}"

    def _guard_change_state(self) -> None:
        """A transition that the present state does not allow makes rclpy raise in its service, which would end the process."""
        service = next(one for one in self.services if one.service_name.endswith("/change_state"))
        change_state = service.callback

        def guarded(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except Exception as error:
                asked = request.transition.label or request.transition.id
                self.get_logger().warning(f"transition {asked} refused while {self.state}: {_one_line(error)}")
                response.success = False
                return response

        service.callback = guarded

    def _report(self, status: Status) -> None:
        status.value("state", self.state)
        status.value("last_fault", self.fault)
        status.summary = self.state
        recent = self._recent.look(self.outputs.deaf)
        if recent:
            status.warn(f"subscribers with incompatible QoS get nothing: {', '.join(recent)}")
        status.value("qos_incompatible", self.outputs.deaf.total())
        if waits_for_clock(self):
            status.warn(
                "use_sim_time is true and nothing comes on /clock: play the bag with --clock, or set use_sim_time to false; until"
                " then silence goes unnoticed"
            )
        if self.fault:
            status.error(f"{self.state}: {self.fault}")
        elif self.state in (UNCONFIGURED, INACTIVE):
            status.warn(f"{self.state}: nothing is computed until the node is active")


def run(make: Callable[[], ManagedNode], args: list[str] | None = None) -> None:
    """A node's process, from init to exit status 0 on SIGINT and SIGTERM, however many of them come. SystemExit with DEVICE_LOST
    where that is why it ends."""
    if threading.current_thread() is threading.main_thread():
        # rclpy's own handlers end the spinning and then call these. Without them the second signal would kill the process half
        # way, and a terminal's Ctrl-C reaches a launched node twice: from the terminal and from launch.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
    rclpy.init(args=args)
    node = None
    try:
        node = make()
        _spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A signal may end the context between two of the executor's own calls, which then fail in ways of their own.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.requests.answer_last(f"{node.get_fully_qualified_name()} ends; start it again")
            node.destroy_node()
        rclpy.try_shutdown()
        # Python's last garbage collection walks through all of torch, for most of a second: by far the longest part of the end,
        # and on a busy machine longer than launch waits before it kills.
        gc.freeze()
        if threading.current_thread() is threading.main_thread():  # Python's ending would make them deadly again
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
    if node is not None and node.ended.done():
        raise SystemExit(node.ended.result())


def _spin(node: ManagedNode) -> None:
    """Until the node has ended, or its context.

    rclpy.spin_until_future_complete does that too, and hangs another callback on the future whenever something happens, which
    stays there: 14 MB per hour at camera rate.
    """
    executor = rclpy.get_global_executor()  # it holds the requests that wait; `answer_last` steps them when this is over
    executor.add_node(node)
    node.ended.add_done_callback(lambda _: executor.create_task(lambda: None))  # it may wait for work, and here is some
    try:
        while rclpy.ok() and not node.ended.done():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def _one_line(error: BaseException) -> str:
    """The message, after the kind of error but for those that speak for themselves: ValueError, this package's own."""
    text = " ".join(str(error).split())
    known = isinstance(error, ValueError) or type(error).__module__.startswith("vljepa_ros")
    return text if known and text else f"{type(error).__name__}: {text}"
