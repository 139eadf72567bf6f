"""The same training as in original_training.py, with TrainingJob: it waits and shows the log."""

from modelarts.session import Session
from modelarts.training.job import TrainingJob

session = Session()
job = TrainingJob.create(
    "/bucket/code/",
    "train.py",
    "my_training_job",
    inputs="/bucket/data/",
    outputs="/bucket/output/",
    parameters={"lr": 0.1},
    log_url="/bucket/log/",
    job_description="a first training",
    auto_stop=1,
    session=session,
)
log = [*job.logs(follow=True)]
print("JOBSTAT_%s" % job.wait(progress=False).status.name)
print(*log, sep="\n")
job.delete()
