"""The curves of boards, as their own pages read them."""

from tests.local.web import client
from tests.support.clocks import wait_until

__all__ = ["curve"]


def curve(job, steps=1, run=".", tag="loss", seconds=60):
    """Return the steps and values of a curve, once it has so many steps.

    The board reads in the background, and again every few seconds.
    """
    points = []

    def is_read():
        url = job.service_url + "data/plugin/scalars/scalars"
        answer = client.get(url, {"run": run, "tag": tag})
        points[:] = answer.json() if answer.status_code == 200 else []
        return len(points) >= steps

    wait_until(is_read, seconds)
    return [(step, round(value, 3)) for _, step, value in points]
