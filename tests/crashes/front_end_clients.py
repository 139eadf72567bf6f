"""Clients that change jobs through several front ends, of which some die meanwhile."""

import threading

from modelarts.errors import ModelArtsError, ServerError, TransportError
from modelarts.estimator import VisualizationJob

__all__ = ["URL", "Client"]

URL = "/bucket/logs/"


class Client(threading.Thread):
    """Changes the description of a job of its own, through one front end and then another."""

    def __init__(self, name, fronts):
        super().__init__(name=name)
        self.sessions = [front.service.session(retries=0) for front in fronts]
        self.job_name = name
        self.acknowledged = 0
        self.refused = 0
        self.errors = []
        self.job = None
        self.may_be = set()
        self.ending = threading.Event()

    def run(self):
        number = 0
        while not self.ending.is_set():
            session = self.sessions[number % len(self.sessions)]
            number += 1
            try:
                self._call(session, "%s %d" % (self.job_name, number))
            except TransportError:
                self.sessions.remove(session)
            except ServerError as error:
                if error.status_code != 503:
                    self.errors.append(error)
                self.refused += 1
                self.ending.wait(0.05)
            except ModelArtsError as error:
                self.errors.append(error)

    def _call(self, session, text):
        if self.job is None:
            self.job = VisualizationJob.create(URL, job_name=self.job_name, session=session)
            self.may_be = {""}
        else:
            self.may_be.add(text)
            VisualizationJob(session, self.job.visualization_id).update(text)
            self.may_be = {text}
        self.acknowledged += 1
