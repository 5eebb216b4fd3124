"""A DataLoader that can be resumed in the middle of an epoch, and fetches ahead from far stores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from neurodata.batches.collate import collate
from neurodata.batches.ordering import WindowSampler
from neurodata.batches.sampling import CoveringWindows
from neurodata.errors import NeurodataError


class WindowLoader(DataLoader[Any]):
    """Batches of windows: the same ones for a seed, whatever the number of workers and however they start.

    `state_dict` says how many windows have been handed out, not how many workers have asked for, so that a run resumed
    in the middle of an epoch gets exactly the batches it would have got. Lightning keeps and loads it by itself. Where
    nobody calls ``set_epoch``, an epoch that was handed out to its end is followed by the next one.

    Parameters
    ----------
    dataset
        Windows, for example a `neurodata.batches.dataset.WindowDataset`. Its ``windows.digest`` and ``fingerprint``,
        where it has them, stand in the state; its ``fetch(indices)`` is what brings windows near, and its
        ``check_unchanged()`` is called as each pass begins.
    batch_size
        Windows per batch.
    sampler
        An order of `neurodata.batches.sampling`; all windows in order where None.
    lookahead
        Batches that are fetched ahead of the one that is asked for; 0 for none. Neither order nor content change.
    fetch_threads
        Threads that do so.
    background
        Whether a batch is put together by a thread while the one before it is used; for ``num_workers=0``, as workers
        do so anyway.
    collate_fn, options
        As for ``torch.utils.data.DataLoader``.

    Raises
    ------
    NeurodataError
        If ``shuffle`` is asked for, which could not be resumed.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        *,
        sampler: Sampler[int] | None = None,
        lookahead: int = 0,
        fetch_threads: int = 2,
        background: bool = False,
        collate_fn: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        if options.get("shuffle"):
            raise NeurodataError("shuffle=True cannot be resumed; give sampler=ShuffledWindows(windows, seed)")
        if lookahead < 0 or fetch_threads < 1:
            raise NeurodataError(
                f"lookahead is 0 or more and fetch_threads 1 or more, got {lookahead!r} and {fetch_threads!r}"
            )
        if sampler is None and options.get("batch_sampler") is None:
            n_windows = getattr(dataset, "windows", None) or len(dataset)  # type: ignore[arg-type]
            sampler = CoveringWindows(n_windows)
        super().__init__(dataset, batch_size, sampler=sampler, collate_fn=collate_fn or collate, **options)
        self.lookahead, self.fetch_threads = lookahead, fetch_threads
        self.background = background and self.num_workers == 0
        self._pass: object = None
        self._given: tuple[int, int] | None = None  # epoch and windows handed out of it

    @property
    def _order(self) -> WindowSampler | None:
        """The order, also where Lightning has wrapped it to predict."""
        found = getattr(self.batch_sampler, "sampler", self.sampler)
        return found if isinstance(found, WindowSampler) else None

    @property
    def _size(self) -> int:
        return int(getattr(self.batch_sampler, "batch_size", None) or self.batch_size or 1)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # A generator on purpose: Lightning asks for the iterator before it says which epoch it is for, and workers
        # begin to load when the iterator is made.
        order = self._order
        if order is None:
            yield from super().__iter__()
            return
        check_unchanged = getattr(self.dataset, "check_unchanged", None)
        if check_unchanged is not None:
            check_unchanged()
        this_pass = self._pass = object()
        epoch, start, size = order.epoch, order.position, self._size
        self._given = (epoch, start)
        ahead = self._look_ahead(order, epoch, start)
        order.on_position = None if ahead is None else ahead.await_position
        batches: Iterator[Any] = super().__iter__()
        made = _made_ahead(batches) if self.background else None
        try:
            for number, batch in enumerate(batches if made is None else made):
                if ahead is not None:
                    ahead.check(number)
                if self._pass is this_pass:
                    self._given = (epoch, min(start + (number + 1) * size, len(order)))
                yield batch
        finally:
            if made is not None:
                made.close()  # first: its thread may be asking for positions
            order.on_position = None
            if ahead is not None:
                ahead.close()
        if self._pass is this_pass and order.epoch == epoch:
            self._given = None
            order.set_epoch(epoch + 1)

    def _look_ahead(self, order: WindowSampler, epoch: int, start: int) -> _Ahead | None:
        fetch = getattr(self.dataset, "fetch", None)
        if not self.lookahead or fetch is None:
            return None
        return _Ahead(fetch, order, epoch, start, self._size, self.lookahead, self.fetch_threads, self.num_workers == 0)

    def state_dict(self) -> dict[str, Any]:
        """Return how far the epoch has been handed out, of which windows of what content; plain values."""
        order = self._resumable()
        state = order.state_dict()
        if self._given is not None and self._given[0] == order.epoch:
            state["position"] = self._given[1]
        return {**state, "batch_size": self._size, **self._facts()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a saved state stands, with the next batch that had not been handed out.

        Raises
        ------
        NeurodataError
            If the windows, their order, the batch size or the recordings' content are not those of the state.
        """
        order = self._resumable()
        facts = self._facts()
        if facts["windows"] != state["windows"]:
            raise NeurodataError(
                "the saved position is of other windows (another split, stride or length, or other recordings), so it "
                "cannot be resumed; give the run the windows it began with, or begin anew"
            )
        if facts["fingerprint"] != state["fingerprint"]:
            raise NeurodataError(
                "recordings were rewritten, or are decoded or scaled in another way (views, channels, target, cache_dtype, "
                "scaling), since the position was saved, so what was learned and what would follow do not belong "
                "together; restore them, or begin anew"
            )
        if self._size != state["batch_size"]:
            raise NeurodataError(
                f"the saved run had batches of {state['batch_size']} windows, this one of {self._size}"
            )
        order.load_state_dict(state)
        self._given = None
        if order.position // self._size >= len(self):  # what is left was to be dropped
            order.set_epoch(order.epoch + 1)

    def _resumable(self) -> WindowSampler:
        order = self._order
        if order is None:
            raise NeurodataError(
                f"{type(self.sampler).__name__} cannot say where it stands, so this loader cannot be resumed; give it "
                "an order of neurodata.batches.sampling"
            )
        return order

    def _facts(self) -> dict[str, str]:
        windows = getattr(self.dataset, "windows", None)
        return {
            "windows": str(getattr(windows, "digest", "")),
            "fingerprint": str(getattr(self.dataset, "fingerprint", "")),
        }


def _made_ahead(batches: Iterator[Any]) -> Generator[Any, None, None]:
    """Each batch in turn; the next one is made by a thread meanwhile."""
    end = object()
    with ThreadPoolExecutor(1, "gather") as pool:
        coming = pool.submit(next, batches, end)
        while (batch := coming.result()) is not end:
            coming = pool.submit(next, batches, end)
            yield batch


class _Ahead:
    """Fetches windows in threads some batches before they are used."""

    def __init__(
        self,
        fetch: Callable[[Sequence[int]], None],
        order: WindowSampler,
        epoch: int,
        start: int,
        size: int,
        lookahead: int,
        threads: int,
        raise_at_once: bool,
    ) -> None:
        self.fetch, self.order, self.epoch, self.start, self.size = fetch, order, epoch, start, size
        self.lookahead, self.threads, self.raise_at_once = lookahead, threads, raise_at_once
        self.submitted = 0
        self.futures: dict[int, Future[None]] = {}
        self.pool: ThreadPoolExecutor | None = None

    def await_position(self, position: int) -> None:
        """Announce what comes, and return when the batch that begins at a position is there.

        Without workers a failure is raised here, before the batch is put together. With workers this runs some batches
        early, so `check` raises it when the batch's turn comes.
        """
        number, rest = divmod(position - self.start, self.size)
        if rest:
            return
        # Nothing competes with the first batch, which somebody is waiting for.
        while self.submitted <= (number + self.lookahead if number else 0):
            if not self._submit(self.submitted):
                break
            self.submitted += 1
        future = self.futures.get(number)
        if future is not None:
            wait([future])
            if self.raise_at_once:
                future.result()

    def check(self, number: int) -> None:
        """Raise where fetching a batch has failed."""
        future = self.futures.pop(number, None)
        if future is not None:
            future.result()

    def close(self) -> None:
        """Wait for what is under way, so that no thread runs when processes are forked."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, number: int) -> bool:
        first = self.start + number * self.size
        after = min(first + self.size, len(self.order))
        if first >= after:
            return False
        wanted = self.order.announced(self.epoch, first, after, begun=number > 0)
        if len(wanted):
            if self.pool is None:  # not earlier: workers have been forked by now
                self.pool = ThreadPoolExecutor(self.threads, "fetch")
            self.futures[number] = self.pool.submit(self.fetch, wanted.tolist())
        return True
