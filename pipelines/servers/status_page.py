"""The page of `dbdflow up`: what runs, where, and how it is."""

import html
import json
import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from pipelines.servers.services import POOL, Service
from pipelines.system import environment
from pipelines.tracking.mlflow_server import HOST

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<title>dbdflow</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 56rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .5rem; border-top: 1px solid #ddd }}
.running {{ color: #176b2c }} small {{ color: #666 }}
</style></head><body><h1>dbdflow</h1><p>{root}<br><small>process {pid}; Ctrl-C in its terminal ends all</small></p>
<table><tr><th>service</th><th>address</th><th>state</th><th>log</th></tr>{rows}</table>
<p>Deployments run on the work pool <b>{pool}</b>: {deployed}</p></body></html>"""


class StatusPage(ThreadingHTTPServer):
    """Serves the page on the loopback; a browser that goes away meanwhile is no news."""

    daemon_threads = True

    def __init__(self, port: int, services: list[Service], deployed: Callable[[], str]) -> None:
        self.services, self.deployed = services, deployed
        super().__init__((HOST, port), Handler)
        Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing."""

    def states(self) -> dict[str, str]:
        return {service.name: service.state for service in self.services}

    def html(self) -> str:
        rows = "".join(
            f"<tr><td>{service.name}</td><td>{link(service.address)}</td>"
            f'<td class="{html.escape(service.state)}">{html.escape(service.state)}</td>'
            f"<td><small>{html.escape(str(service.log))}</small></td></tr>"
            for service in self.services
        )
        root, told = html.escape(str(environment.root())), html.escape(self.deployed())
        return PAGE.format(root=root, pid=os.getpid(), rows=rows, pool=POOL, deployed=told)


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the page, except `/states`, which is for `dbdflow up --check`."""

    server: StatusPage

    def do_GET(self) -> None:
        plain = self.path == "/states"
        body = (json.dumps(self.server.states()) if plain else self.server.html()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if plain else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the page asks every three seconds."""


def link(address: str | None) -> str:
    return f'<a href="{address}">{address}</a>' if address else ""
