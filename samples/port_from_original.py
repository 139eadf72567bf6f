"""The same script with the short verbs, which raise errors, wait and read all pages."""

from modelarts.estimator import VisualizationJob

job = VisualizationJob.create(
    "/bucket/logs/", job_name="my_board", job_desc="loss of the first run", auto_stop=2
)
print(job.wait().service_url)

for running in VisualizationJob.iter(status=8, search_content="my_board"):
    print(running.job_id, running.job_name)

job.stop()
