"""A training script as it is written for the original SDK (V1). It runs here as it is."""

import time

from modelarts.estimator import JOB_STATE, Estimator
from modelarts.session import Session

session = Session()
flavors = Estimator.get_train_instance_types(modelarts_session=session)
engines = Estimator.get_framework_list(modelarts_session=session)

estimator = Estimator(
    modelarts_session=session,
    train_instance_type=flavors[0],
    train_instance_count=1,
    framework_type=engines[0]["framework_type"],
    framework_version=engines[0]["framework_version"],
    code_dir="/bucket/code/",
    boot_file="/bucket/code/train.py",
    output_path="/bucket/output/",
    log_url="/bucket/log/",
    hyperparameters=[{"label": "lr", "value": "0.1"}],
    job_description="a first training",
)
job_instance = estimator.fit(inputs="/bucket/data/", wait=False, job_name="my_training_job")

while True:
    info = job_instance.get_job_info()
    if not info["is_success"]:
        raise Exception(info["error_msg"])
    if info["status"] in (3, 5, 6, 10, 11, 12, 13, 14):
        break
    time.sleep(1)
print(JOB_STATE[info["status"]])

log_files = job_instance.get_job_log_file_list()
log = job_instance.get_job_log(log_file=log_files["log_file_list"][0])
print(log["content"])

result = Estimator.delete_job_by_id(modelarts_session=session, job_id=job_instance.job_id)
if not result["is_success"]:
    print(result["error_msg"])
