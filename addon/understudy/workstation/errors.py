"""What the workstation's parts raise."""

from understudy.state.runtime import Runtime


class LaunchError(Exception):
    """A proxy cannot be started or ended; the message says why, and what to do."""


class RunsAlready(LaunchError):
    """There is a proxy for all programs; one is enough."""

    def __init__(self, running: Runtime) -> None:
        super().__init__(f"a proxy is running already (process {running.pid}, port {running.port})")
        self.running = running
