"""Types of jobs and of their methods."""

from typing import Any, Dict, Iterator, List, Optional

from typing_extensions import assert_type

from modelarts.errors import ApiError, JobFailed, ModelArtsError, NotFound, WaitError
from modelarts.estimator import JOB_STATE, JobStatus, VisualizationJob
from modelarts.models import JobInfo, Schedule
from modelarts.session import Session

session = Session()
job = VisualizationJob.create("/bucket/logs/", auto_stop=2, session=session)
assert_type(job, VisualizationJob)
assert_type(job.wait(), VisualizationJob)
assert_type(job.wait(JobStatus.RUNNING, timeout=60), VisualizationJob)
assert_type(job.stop().wait([9, JobStatus.KILLED]).restart().wait().refresh(), VisualizationJob)
assert_type(job.update("words").delete(), VisualizationJob)
assert_type(VisualizationJob.get("8992", session), VisualizationJob)
listed: List[VisualizationJob] = VisualizationJob.list(session, status=8)
assert_type(VisualizationJob.iter(status=[8, 9]), Iterator[VisualizationJob])

documented = VisualizationJob(modelarts_session=session, visualization_id="8992")
assert_type(documented.create_visualization_job(train_url="/b/c/"), VisualizationJob)
assert_type(documented.get_visualization_job_info(), Dict[str, Any])
assert_type(documented.stop_visualization_job(), Dict[str, Any])
listed = VisualizationJob.get_visualization_job_object_list(session, is_show=False)
assert_type(listed[0], VisualizationJob)
assert_type(VisualizationJob.get_visualization_job_list(session), Dict[str, Any])

assert_type(job.job_id, Optional[str])
assert_type(job.status, Optional[JobStatus])
assert_type(job.create_time, Optional[int])
assert_type(job.schedule, Optional[Schedule])
assert_type(job.info, JobInfo)
assert_type(job.raw, Dict[str, Any])
assert_type(JOB_STATE[8], str)

try:
    job.wait()
except JobFailed as error:
    assert_type(error.job, Any)  # a board or a training
except NotFound as refusal:
    assert_type(refusal.status_code, int)
    assert_type(refusal.error_code, Optional[str])
wait_error: ModelArtsError = WaitError("x", job)
lookup: LookupError = NotFound("x")
assert_type(ApiError("x").as_dict(), Dict[str, Any])

VisualizationJob.create(1)  # error: [arg-type]
VisualizationJob.create("/b/c/", auto_stop="2")  # error: [arg-type]
VisualizationJob.create("/b/c/", name="x")  # error: [call-arg]
job.status = JobStatus.RUNNING  # error: [misc]
