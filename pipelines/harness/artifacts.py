"""A stage's flow run as Prefect's page shows it: how far it is, sample maps, tables of scores, its run in MLflow.

What a server does not take costs one warning, and ends the showing.
"""

import base64
import io
import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image
    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds that a server may take to answer
INTERVAL = 2.0  # seconds between two words on progress
PICTURES = 6  # of a flow run
WIDTH = 512  # pixels of a picture at most


class Artifacts:
    """The artifacts of one flow run; none where there is no client of a server.

    Attributes:
        flow_run: its id.
        api: address of the server's API.
        page: address of the flow run's page.
    """

    def __init__(self, client: "SyncPrefectClient | None" = None, flow_run: str = "", api: str = "") -> None:
        self.client, self.flow_run, self.api = client, flow_run, api.rstrip("/")
        self.page = client and f"{self.api.removesuffix('/api')}/runs/flow-run/{flow_run}"
        self._known: dict[str, str] = {}
        self._pictures = 0
        self._moved = float("-inf")

    def progress(self, name: str, done: float, total: float, message: str) -> None:
        """Show how far it is, now and then and at the end."""
        if done >= total or time.monotonic() - self._moved > INTERVAL:
            self._moved = time.monotonic()
            self._put("progress", name, min(100.0, 100.0 * done / total) if total else 100.0, message)

    def picture(self, name: str, image: "Image", description: str) -> None:
        """Show a picture, one of the first few, as an address of its own (`data:`)."""
        if self.client is not None and self._pictures < PICTURES:
            self._pictures += 1
            small, encoded = image.copy(), io.BytesIO()
            small.thumbnail((WIDTH, 100 * WIDTH))
            small.save(encoded, "png")
            content = base64.b64encode(encoded.getvalue()).decode()
            self._put("image", name, f"data:image/png;base64,{content}", description)

    def table(self, name: str, rows: list[dict[str, Any]], description: str) -> None:
        """Show a table, a dictionary a row."""
        self._put("table", name, json.dumps(rows), description)

    def link(self, name: str, markdown: str) -> None:
        """Show where the stage's run in MLflow is."""
        self._put("markdown", name, markdown, "curves, parameters and files of this stage")

    def _put(self, kind: str, name: str, data: object, description: str) -> None:
        if self.client is None:
            return
        key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        try:
            self._send(self.client, key, {"data": data, "description": description}, kind)
        except Exception as error:  # whatever answers at that address, or does not
            log.warning("Prefect shows no more of this stage (%s: %s)", type(error).__name__, error)
            self.client = None

    def _send(self, client: "SyncPrefectClient", key: str, values: dict[str, Any], kind: str) -> None:
        from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # nobody waits for a server that has gone
            if key in self._known:
                client.request("PATCH", "/artifacts/{id}", path_params={"id": self._known[key]}, json=values)
            else:
                made = {"key": key, "type": kind, "flow_run_id": self.flow_run, **values}
                self._known[key] = client.request("POST", "/artifacts/", json=made).json()["id"]
