"""nginx in front of a folder, on a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATION = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; default_type application/octet-stream;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; location /forbidden/ {{ return 403; }} }}
}}
"""


def find_nginx() -> str:
    """Where nginx is; skips the test where there is none, fails it in CI, which installs one."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report("there is no nginx; install it with: apt-get install nginx-light")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def run_nginx(root: Path):
    """Serve a folder; gives host and port."""
    command = find_nginx()
    work = Path(tempfile.mkdtemp(prefix="nginx-"))
    for _ in range(3):  # the port is free now, another process may take it before nginx does
        port = free_port()
        (work / "nginx.conf").write_text(CONFIGURATION.format(work=work, port=port, root=root))
        server = subprocess.Popen([command, "-c", str(work / "nginx.conf"), "-p", str(work)], stderr=subprocess.PIPE)
        if _answers(port, server):
            break
    else:
        raise RuntimeError(f"nginx does not start: {server.stderr.read().decode()}")
    try:
        yield "127.0.0.1", port
    finally:
        server.terminate()
        server.wait(10)
        server.stderr.close()
        shutil.rmtree(work, ignore_errors=True)


def _answers(port: int, server: subprocess.Popen) -> bool:
    for _ in range(200):
        if server.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False
