"""The processes of a run meet before they are connected, since libraries say nothing while one is missing.

Rank 0 keeps a store at MASTER_ADDR and MASTER_PORT, where all others enter themselves. The same server then serves
Lightning, which asks for one at the same place.
"""

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from torch.distributed import DistNetworkError, PrefixStore, TCPStore, is_torchelastic_launched

from vista.data import InputError

PATIENCE = 30.0  # seconds before it is said who is awaited
LIMIT = 1800.0  # seconds before nobody is awaited any more; as long as Lightning waits
TICK = 0.2  # seconds


@dataclass(frozen=True)
class Place:
    """Where the processes meet, and which of them this one is.

    Attributes:
        address: of the host of rank 0.
        port: there.
        rank: of this process.
        size: how many are to come.
    """

    address: str
    port: int
    rank: int
    size: int


class Meeting:
    """Waits until all processes are here."""

    def __init__(
        self,
        place: Place,
        check: Callable[[], None],
        speaks: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        """Begin to wait.

        Args:
            place: where.
            check: called while this process waits; raises where there is nothing to wait for any more.
            speaks: whether this process says who is awaited.
            patience: seconds before it does.
        """
        self.place, self.check, self.speaks, self.patience = place, check, speaks, patience
        self.begun = time.monotonic()

    def hold(self) -> tuple[TCPStore, str]:
        """Wait.

        Returns:
            the store, which must be kept until the processes are connected, and a name for the run.

        Raises:
            InputError: the port is in use, or somebody never came.
        """
        server = self._server()
        # A launcher that starts all processes once more keeps the store.
        store = PrefixStore(f"meeting{os.environ.get('TORCHELASTIC_RESTART_COUNT', '')}", server)
        if self.place.rank == 0:
            store.set("name", uuid4().hex)
        while not store.check(["name"]):
            self._wait(f"of {self.place.size} processes rank 0 is missing")
        store.set(f"here{self.place.rank}", "")
        store.add("count", 1)
        while (count := store.add("count", 0)) < self.place.size:
            self._wait(f"{count} of {self.place.size} processes are here", store)
        return server, store.get("name").decode()

    def _server(self) -> TCPStore:
        place = self.place
        keeps = place.rank == 0 and not is_torchelastic_launched()
        while not keeps and not self._answers():
            self._wait(f"of {self.place.size} processes rank 0 does not answer")
        try:
            return TCPStore(
                place.address,
                place.port,
                is_master=keeps,
                wait_for_workers=False,
                multi_tenant=True,
            )
        except DistNetworkError as error:
            if "EADDRINUSE" not in str(error):
                raise
            raise InputError(
                f"the port {place.port} is in use on this host, perhaps by another run; name a free one by "
                "MASTER_PORT=NUMBER, the same one on all hosts"
            ) from error

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.place.address, self.place.port), timeout=5).close()
        except OSError:
            return False
        return True

    def _wait(self, why: str, store: PrefixStore | None = None) -> None:
        self.check()
        waited = time.monotonic() - self.begun
        if waited > LIMIT:
            raise InputError(self._text(waited, why, store))
        if waited > self.patience:
            self.patience *= 2
            if self.speaks:
                text = self._text(waited, why, store)
                print(f"warning: {text}", file=sys.stderr, flush=True)
        time.sleep(TICK)

    def _text(self, waited: float, why: str, store: PrefixStore | None) -> str:
        place = self.place
        if store is not None:
            ranks = [rank for rank in range(place.size) if not store.check([f"here{rank}"])]
            why += f", rank {', '.join(map(str, ranks[:8]))}{', ...' * (len(ranks) > 8)} is missing"
        return (
            f"rank {place.rank} on {socket.gethostname()} has waited {waited:.0f} s: {why} "
            f"(MASTER_ADDR {place.address}, MASTER_PORT {place.port})"
        )
