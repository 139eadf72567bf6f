"""Datasets: folders in OBS that trainings ask for by the id and the version of a dataset."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument
from modelarts.local.training.definition import illegal

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")


class Datasets:
    """The datasets of this service, which the owner names.

    Args:
        texts: one for each, as ``ID/VERSION=/bucket/folder/``; a version that is named later is
            taken where a training names none.

    Raises:
        ValueError: one has another form, or there are two of the same id and version.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._folders: dict[str, dict[str, str]] = {}
        for text in texts:
            identity, _, folder = text.partition("=")
            dataset, _, version = identity.partition("/")
            if not _ID.match(dataset) or not _ID.match(version):
                raise ValueError(
                    f"--dataset {text}: give ID/VERSION=/bucket/folder/; id and version have 1 "
                    "to 64 letters, digits, underscores or hyphens"
                )
            versions = self._folders.setdefault(dataset, {})
            if version in versions:
                raise ValueError(f"--dataset {text}: there are two of {identity}")
            try:
                versions[version] = arguments.train_url(folder)
            except InvalidArgument as error:
                raise ValueError(f"--dataset {text}: the folder must be {error.allowed}") from None

    def resolve(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a request with the folder of each dataset that its inputs name.

        Values of another form are left unchanged, and refused by the parser of the definition.

        Raises:
            TrainingFailure: there is no such dataset, or no such version.
        """
        algorithm = body.get("algorithm")
        inputs = algorithm.get("inputs") if isinstance(algorithm, dict) else None
        if not isinstance(algorithm, dict) or not isinstance(inputs, list):
            return body
        resolved = [self._resolve(entry) for entry in inputs]
        return {**body, "algorithm": {**algorithm, "inputs": resolved}}

    def _resolve(self, entry: Any) -> Any:
        remote = entry.get("remote") if isinstance(entry, dict) else None
        if not isinstance(remote, dict) or remote.get("obs"):
            return entry
        dataset = remote.get("dataset")
        if not isinstance(dataset, dict) or not dataset:
            return entry
        versions = self._folders.get(str(dataset.get("id")), {})
        version = dataset.get("version_id") or next(reversed(versions), None)
        folder = versions.get(str(version))
        if folder is None:
            asked = ascii(f"{dataset.get('id')}/{version or ''}".rstrip("/"))[:150]
            known = [
                f"{name}/{each}" for name, numbers in self._folders.items() for each in numbers
            ]
            raise illegal(
                f"The dataset {asked} is unknown.",
                f"Give one of: {', '.join(known) or '(none)'}. The service's owner can add "
                "it: modelarts serve --dataset ID/VERSION=/bucket/folder/",
            )
        full = {**dataset, "version_id": version, "obs_url": folder}
        return {**entry, "remote": {"dataset": full}}
