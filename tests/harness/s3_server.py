"""An S3-compatible server on loopback, moto's, that can be told to fail or to stall."""

import logging
import random
import threading
from collections.abc import Callable

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

BUCKET = "studies"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
FAIL, STALL = "fail", "stall"


class Server:
    """Serves one bucket; `fault` says what goes wrong with a request, which `requests` has noted as (method, path)."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._moto = create_backend_app("s3")
        self._stopped = threading.Event()
        self.well()
        get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, "us-east-1")
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def well(self):
        """Forget requests and faults."""
        self.requests: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.fault: Callable[[str, str], str | None] = lambda method, path: None

    def now_and_then(self, seed: int, share: float, stalls: int = 0) -> None:
        """Answer 500 to a share of all requests, and let a few of these stall instead."""
        rng, left = random.Random(seed), [STALL] * stalls

        def fault(method: str, path: str) -> str | None:
            return (left.pop() if left and rng.random() < 0.3 else FAIL) if rng.random() < share else None

        self.fault = fault

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        if (fault := self.fault(method, path)) is not None:
            self.faults.append(fault)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if fault == STALL:
                self._stopped.wait(60)  # the client gives up long before
            start_response("500 Internal Server Error", [("Content-Type", "text/plain"), ("Connection", "close")])
            return [b"out of order"]
        return self._moto(environ, start_response)

    def stop(self):
        """End it with the requests that stall."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
