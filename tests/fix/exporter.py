"""A node exporter on loopback: a real HTTP server that sends what such exporters send."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

# The shares of one second of two processors: together 0.55 idle, 0.15 waiting for disks, 0.30 at work.
MODES = {"idle": 0.55, "iowait": 0.15, "user": 0.2, "system": 0.07, "nice": 0.0, "irq": 0.0, "softirq": 0.02} | {
    "steal": 0.01
}


def text(seconds: float, labels: str = "", *, guest: float = 0.1) -> str:
    """What an exporter sends after its machine has run for so long; `labels` as in `,service_type="db"`."""
    lines = [
        "# HELP go_gc_duration_seconds A summary of the wall-time pause (stop-the-world) duration in garbage cycles.",
        "# TYPE go_gc_duration_seconds summary",
        'go_gc_duration_seconds{quantile="0.5"} 4.7584e-05',
        "# HELP node_cpu_guest_seconds_total Seconds the CPUs spent in guests (VMs) for each mode.",
        "# TYPE node_cpu_guest_seconds_total counter",
        f'node_cpu_guest_seconds_total{{cpu="0",mode="user"{labels}}} {guest * seconds}',
        "# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.",
        "# TYPE node_cpu_seconds_total counter",
        *(
            f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"{labels}}} {share * seconds:.6e}'
            for cpu in range(2)
            for mode, share in MODES.items()
        ),
        "# HELP node_memory_MemAvailable_bytes Memory information field MemAvailable_bytes.",
        "# TYPE node_memory_MemAvailable_bytes gauge",
        f"node_memory_MemAvailable_bytes{_braces(labels)} 1.073741824e+09",
        "# HELP node_memory_MemTotal_bytes Memory information field MemTotal_bytes.",
        "# TYPE node_memory_MemTotal_bytes gauge",
        f"node_memory_MemTotal_bytes{_braces(labels)} 4.294967296e+09",
        f'node_uname_info{{machine="x86_64",nodename="db \\"one\\" {{a}}"{labels}}} 1',
        "pg_up NaN",
    ]
    return "\n".join(lines) + "\n"


def _braces(labels: str) -> str:
    return f"{{{labels.lstrip(',')}}}" if labels else ""


SUPABASE = ',supabase_project_ref="abcdefghijklmnop",supabase_identifier="abcdefghijklmnop",service_type="{kind}"'


def supabase_text(seconds: float) -> str:
    """What a Supabase project's endpoint sends: its database's machine, and figures of the other services."""
    other = SUPABASE.format(kind="postgrest")
    return text(seconds, SUPABASE.format(kind="db")) + f'http_status_codes_total{{code="200"{other}}} 7\n'


@contextlib.contextmanager
def exporter(send: Callable[[int], str], password: str = "", path: str = "/metrics") -> Iterator[str]:
    """The base address of a server that answers the nth request (from 1) with `send(n)`; wrong passwords get 401."""
    numbers = count(1)
    wanted = f"Basic {base64.b64encode(f'service_role:{password}'.encode()).decode()}" if password else None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", path)
                self.end_headers()
            elif self.path != path:
                self.send_error(404)
            elif wanted is not None and self.headers.get("Authorization") != wanted:
                self.send_error(401)
            else:
                body = send(next(numbers)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
