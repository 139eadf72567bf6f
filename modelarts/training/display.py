"""The card of a training in a notebook: HTML of its last known fields, without a request."""

from typing import Iterator, Mapping, Tuple

from modelarts.visualization.display.html import box, status_word
from modelarts.visualization.display.text import Shown, clock_time, last_known, span, title
from modelarts.visualization.v2 import part


def card(job: Shown) -> str:
    """One training: name, status, code, folders, times."""
    info = last_known(job)
    return box(info.job_name or title(info), [status_word(info.status)], _facts(job))


def _facts(job: Shown) -> Iterator[Tuple[str, str]]:
    info, raw = last_known(job), job.raw
    algorithm, resource = part(raw, "algorithm"), part(part(raw, "spec"), "resource")
    engine = part(algorithm, "engine")
    yield "training", "" if info.job_id is None else str(info.job_id)
    for name, value in (
        ("boot file", algorithm.get("boot_file")),
        ("engine", engine.get("image_url") or engine.get("engine_version")),
        ("flavor", resource.get("flavor_id")),
        ("parameters", _pairs(algorithm.get("parameters"))),
        ("outputs", _urls(algorithm.get("outputs"))),
        ("event files", info.train_url),
        ("description", info.job_desc),
    ):
        if value:
            yield name, str(value)
    if info.created:
        yield "created", clock_time(info.created)
    if info.duration:
        ended = info.status is not None and info.status.is_final
        yield "ran for" if ended else "running for", span(info.duration / 1000)
    reason = info.extra.get("reason")
    if reason:
        yield "reason", str(reason)
    if job.last_seen is not None:
        yield "as of", job.last_seen.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _pairs(parameters: object) -> str:
    entries = parameters if isinstance(parameters, list) else ()
    return ", ".join(
        "%s=%s" % (entry.get("name"), entry.get("value"))
        for entry in entries
        if isinstance(entry, Mapping)
    )


def _urls(outputs: object) -> str:
    entries = outputs if isinstance(outputs, list) else ()
    urls = (part(part(entry, "remote"), "obs").get("obs_url") for entry in entries)
    return ", ".join(str(url) for url in urls if url)
