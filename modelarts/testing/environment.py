"""The environment in which ``Session()`` finds a service."""

import os
from contextlib import contextmanager
from typing import Dict, Iterator, Mapping


def variables(
    *,
    access_key: str,
    secret_key: str,
    project_id: str,
    region_name: str,
    modelarts_endpoint: str,
    iam_endpoint: str,
    obs_endpoint: str = "",
) -> Dict[str, str]:
    """Return the environment variables by which ``Session()`` uses this service."""
    values = {
        "MODELARTS_ACCESS_KEY": access_key,
        "MODELARTS_SECRET_KEY": secret_key,
        "MODELARTS_PROJECT_ID": project_id,
        "MODELARTS_REGION_NAME": region_name,
        "MODELARTS_ENDPOINT": modelarts_endpoint,
        "MODELARTS_IAM_ENDPOINT": iam_endpoint,
        "MODELARTS_OBS_ENDPOINT": obs_endpoint,
    }
    return {name: value for name, value in values.items() if value}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables, and no others of this package, while a block runs.

    The settings of ``Session.set_endpoint`` are cleared meanwhile, and restored afterwards.
    """
    from modelarts.session import Session

    shared, Session._shared = Session._shared, {}
    ours = [name for name in os.environ if name.startswith("MODELARTS_")]
    before = {name: os.environ.get(name) for name in {*ours, *variables}}
    try:
        for name in ours:
            del os.environ[name]
        os.environ.update(variables)
        yield
    finally:
        Session._shared = shared
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
