"""One execution environment: a process under AWS's own runtime client (awslambdaric), with a Runtime API to itself.

See https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Literal

_INIT_SECONDS = 30
_Kind = Literal["ready", "response", "error", "init error", "exit"]


@dataclasses.dataclass(frozen=True)
class Request:
    """One invocation that an environment is to serve."""

    request_id: str
    payload: bytes
    function_arn: str
    seconds: float
    """How long it may take here, which is more than the function's own limit."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How an invocation ended. `reusable`: whether the environment can serve another one."""

    payload: bytes
    error_type: str | None = None
    reusable: bool = True


def failure(request_id: str, error_type: str, message: str) -> Outcome:
    """Return what Lambda itself answers where the runtime did not. Such an environment is not used again."""
    text = json.dumps({"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {message}"})
    return Outcome(text.encode(), error_type, reusable=False)


class _RuntimeServer(http.server.ThreadingHTTPServer):
    """The Runtime API of one execution environment."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApi)
        self.requests: queue.Queue[Request | None] = queue.Queue()
        self.events: queue.Queue[tuple[_Kind, bytes]] = queue.Queue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="runtime-api", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closed:
            self.handle_request()

    def close(self) -> None:
        self._closed = True
        self.requests.put(None)
        with socket.create_connection(("127.0.0.1", self.server_port)):
            self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a killed runtime closes its connection within a request, whose answer nobody waits for."""


class _RuntimeApi(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this each invocation waits 80 ms for delayed acknowledgements.
    disable_nagle_algorithm = True
    server: _RuntimeServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep our terminal free of it."""

    def do_GET(self) -> None:
        """Answer /2018-06-01/runtime/invocation/next: the runtime is ready for work, and waits until there is some."""
        self.server.events.put(("ready", b""))
        request = self.server.requests.get()
        if request is None:
            self._answer(410, b"", {})
            return
        deadline = int((time.time() + request.seconds) * 1000)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": request.function_arn,
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        }
        self._answer(200, request.payload, headers)

    def do_POST(self) -> None:
        """Take …/invocation/<id>/response, …/invocation/<id>/error or …/init/error."""
        body = self._body()
        endings: dict[str, _Kind] = {"/init/error": "init error", "/error": "error", "/response": "response"}
        kind = next(kind for ending, kind in endings.items() if self.path.endswith(ending))
        self._answer(202, b'{"status":"OK"}', {})
        self.server.events.put((kind, body))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Environment:
    """One execution environment: a process that serves one invocation at a time."""

    def __init__(self, variables: dict[str, str], handler: str, task: pathlib.Path, log: pathlib.Path) -> None:
        self.log_stream = variables["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.cold = True
        self._server = _RuntimeServer()
        self._log = log.open("w+b", buffering=0)
        # -S -s: what is installed for us must not be importable by the function.
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-s", "-m", "awslambdaric", handler],
            cwd=task,
            env={**variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}"},
            stdin=subprocess.DEVNULL,
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.unlink()  # both have it open; without a name it goes with them
        threading.Thread(target=self._watch, name="lambda-exit", daemon=True).start()

    def _watch(self) -> None:
        self._server.events.put(("exit", str(self._process.wait()).encode()))

    def initialise(self, request_id: str) -> Outcome | None:
        """Wait until the function's module is loaded. Return its failure, or None if it is ready."""
        return self._until("ready", request_id, _INIT_SECONDS, _INIT_SECONDS)

    def peak_mib(self) -> float | None:
        """Return what the process has had in memory at most, as Linux counts it."""
        try:
            status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else None

    def has_open(self, inode: str) -> bool:
        """Return whether the process has a socket open, as Linux says it."""
        try:
            links = [str(each.readlink()) for each in pathlib.Path(f"/proc/{self._process.pid}/fd").iterdir()]
        except OSError:  # the process has ended, or closes a file at this moment
            return False
        return f"socket:[{inode}]" in links

    def invoke(self, request: Request, nominal_seconds: float) -> Outcome:
        """Serve an invocation, and wait for its end. `nominal_seconds`: the limit that a failure names."""
        self._server.requests.put(request)
        outcome = self._until("response", request.request_id, request.seconds, nominal_seconds)
        assert outcome is not None
        return outcome

    def _until(
        self, wanted: Literal["ready", "response"], request_id: str, seconds: float, nominal_seconds: float
    ) -> Outcome | None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                kind, body = self._server.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return failure(request_id, "Sandbox.Timedout", f"Task timed out after {nominal_seconds:.2f} seconds")
            if kind == wanted == "ready":
                return None
            if kind == "response":
                return Outcome(body)
            if kind in ("error", "init error"):
                return Outcome(body, json.loads(body).get("errorType", "Error"), reusable=kind == "error")
            if kind == "exit":
                status = int(body)
                how = f"exit status {status}" if status >= 0 else f"signal: {signal.strsignal(-status)}".lower()
                return failure(request_id, "Runtime.ExitError", f"Runtime exited with error: {how}")

    def output(self) -> list[str]:
        """Return the lines written since the last call."""
        return self._log.read().decode(errors="replace").splitlines()

    def close(self) -> None:
        """End the process. Who waits for an answer gets one: the runtime exited."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._server.close()
        self._log.close()
