"""A script as it is written for the original SDK. It runs here as it is."""

import time

from modelarts.estimator import VisualizationJob
from modelarts.session import Session

session = Session()
job = VisualizationJob(modelarts_session=session)
job_instance = job.create_visualization_job(
    train_url="/bucket/logs/", job_name="my_board", job_desc="loss of the first run"
)

while True:
    info = job_instance.get_visualization_job_info()
    if not info["is_success"]:
        raise Exception(info["error_msg"])
    if info["status"] == 8:
        break
    if info["status"] in (3, 5, 6, 11, 14):
        raise Exception("job failed: %s" % info["status"])
    time.sleep(1)
print(info["service_url"])

resp = VisualizationJob.get_visualization_job_list(
    modelarts_session=session, status="8", per_page=100, page=1, search_content="my_board"
)
for running in resp["jobs"]:
    print(running["job_id"], running["job_name"])

result = job_instance.stop_visualization_job()
if not result["is_success"]:
    print(result["error_msg"])
