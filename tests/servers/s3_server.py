"""An S3 server on this machine: moto's, with a bucket that holds a store."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path

KEYS = {"access_key_id": "testing", "secret_access_key": "testing", "region": "us-east-1"}
BUCKET = "recordings"


@contextmanager
def run_s3():
    """Start the server with an empty bucket; gives host and port."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name=KEYS["region"],
        aws_access_key_id=KEYS["access_key_id"], aws_secret_access_key=KEYS["secret_access_key"],
    )  # fmt: skip
    try:
        client.create_bucket(Bucket=BUCKET)
        yield host, port
    finally:
        client.close()
        server.stop()


def options_for(url: str) -> dict:
    """Settings under which obstore reads from this server."""
    return {**KEYS, "endpoint": url}


def upload(folder: Path, url: str, prefix: str) -> None:
    """Copy a folder's files to the bucket, as `aws s3 sync` would."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(BUCKET, **options_for(url), client_options={"allow_http": True})
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            obstore.put(store, f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
