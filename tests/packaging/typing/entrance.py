"""Types of the names in ``modelarts`` itself."""

from typing import Optional

from typing_extensions import assert_type

import modelarts
from modelarts import JobInfo, JobStatus, Session, VisualizationJob, errors
from modelarts.errors import ModelArtsError

assert_type(Session(), Session)
assert_type(VisualizationJob.create("/bucket/logs/"), VisualizationJob)
assert_type(JobInfo().status, Optional[JobStatus])
ERROR: ModelArtsError = errors.InvalidArgument("name", 1, "text")

print(modelarts.Sesion)  # error: [attr-defined]
