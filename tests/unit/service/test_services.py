"""What one coordinator is made of: the loop's connections are its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.pool import QueuePool

from bench.coordinator.endpoint import Endpoint
from bench.coordinator.history import write_history
from bench.coordinator.indexing import DEPLOYMENT
from commonweal.adapters.keystore import create_keystore
from service.services import open_services
from service.settings import Settings


@contextmanager
def serve(blocks: list[str]) -> Iterator[str]:
    server = Endpoint(blocks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def make_settings(folder: Path, rpc_url: str, database_url: str) -> Settings:
    DEPLOYMENT.save(folder / "deployment.json")
    (folder / "password").write_text("test\n")
    (folder / "password").chmod(0o600)
    create_keystore(folder / "key.json", "test", light=True)
    return Settings(
        rpc_url=(rpc_url,),
        deployment=folder / "deployment.json",
        data_dir=folder,
        database_url=database_url,
        keystore=folder / "key.json",
        password_file=folder / "password",
        lag_patience=0,
    )


def test_strangers_who_hold_every_connection_do_not_hold_up_the_loop(
    tmp_path: Path, database_url: str
) -> None:
    history = write_history(DEPLOYMENT, 5, 60)
    with serve(history.blocks) as url:
        services = open_services(make_settings(tmp_path, url, database_url))
        pool = services.database.pool
        assert isinstance(pool, QueuePool)
        with ExitStack() as held:
            most = pool.size() + pool._max_overflow
            for _ in range(most):
                held.enter_context(services.database.connect())
            assert pool.checkedout() == most
            services.engine.start()
            deadline = time.monotonic() + 20
            while services.engine.indexed < len(history.blocks) - 1:
                assert time.monotonic() < deadline, services.engine.error
                time.sleep(0.02)
            assert services.engine.leads
        services.stop()
