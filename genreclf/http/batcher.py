"""One thread that asks the net for all who wait: clips that come at the same time share a batch."""

import queue
import threading
from concurrent.futures import Future

from genreclf.frontend.clip import Clip
from genreclf.inference.prediction import Prediction
from genreclf.inference.predictor import Predictor

CLIPS_AT_ONCE = 16


class Batcher:
    """Answers clips in the order in which they come; `close` answers all that are waiting, and ends the thread."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.waiting: queue.SimpleQueue[tuple[Clip, Future] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self.thread.start()

    def submit(self, clip: Clip) -> "Future[Prediction]":
        """The answer that will be; also an exception, if the net raises one."""
        future: Future[Prediction] = Future()
        self.waiting.put((clip, future))
        return future

    def close(self) -> None:
        """Returns when all that was submitted is answered."""
        self.waiting.put(None)
        self.thread.join()

    def _work(self) -> None:
        while (entry := self.waiting.get()) is not None:
            batch = [entry]
            while len(batch) < CLIPS_AT_ONCE and (entry := self._next()) is not None:
                batch.append(entry)
            self._answer(batch)

    def _next(self) -> tuple[Clip, Future] | None:
        """What is there at this moment; the sign to end is left for later."""
        try:
            entry = self.waiting.get_nowait()
        except queue.Empty:
            return None
        if entry is None:
            self.waiting.put(None)
        return entry

    def _answer(self, batch: list[tuple[Clip, Future]]) -> None:
        try:
            answers = list(self.predictor.predict_many(clip for clip, _ in batch))
        except Exception as error:  # whoever waits must hear of it
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)
