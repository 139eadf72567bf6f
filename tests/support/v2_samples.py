"""Scripts with the Estimator of v2: the samples of the SDK reference, and one of a user."""

import contextlib
import io

__all__ = [
    "BEGIN",
    "BY_ID",
    "CALLS",
    "CREATE",
    "CREATE_IMAGE",
    "LIST",
    "OFFERS",
    "SCRIPT",
    "run",
]

#: By the reference, whose text was seen for the list, details, terminate and delete; the rest is by
#: its tables and by public scripts. Ids of jobs are other ones.
CREATE = """
from modelarts.session import Session
from modelarts.train_params import TrainingFiles
from modelarts.train_params import OutputData
from modelarts.train_params import InputData
from modelarts.estimatorV2 import Estimator
session = Session()
# Parameters received in the training script (set based on the site requirements):

parameters = [{"name": "mod", "value":"gpu"},
              {"name": "epoc_num", "value":2}]
estimator = Estimator(session=session,
                      training_files=TrainingFiles(code_dir= "obs://bucket_name/code_dir/", boot_file="boot_file.py"),
                      outputs=[OutputData(obs_path="obs://bucket_name/output/", name="output_dir")],
                      parameters=parameters,
                      framework_type='PyTorch',                      # Common AI engine
                      framework_version='PyTorch-1.4.0-python3.6',   # Version of the engine
                      train_instance_type="modelarts.vm.cpu.2u",
                      train_instance_count=1,
                      log_url="obs://bucket_name/log/",
                      env_variables={"USER_ENV_VAR": "customize environment variable"},
                      working_dir="/home/ma-user/modelarts/user-job-dir",
                      local_code_dir="/home/ma-user/modelarts/user-job-dir",
                      job_description='This is a image net train job')
job_instance = estimator.fit(inputs=[InputData(obs_path="obs://bucket_name/input/", name="data_url")], job_name="job-0")
"""  # noqa: E501
CREATE_IMAGE = """
from modelarts.session import Session
from modelarts.train_params import OutputData
from modelarts.estimatorV2 import Estimator
session = Session()
estimator = Estimator(session=session,
                      job_description='This is a basic training job',
                      user_image_url="deep-learning-demo/mpi:3.0.0-cuda10.2",
                      user_command="echo hello-world",
                      outputs=[OutputData(obs_path="obs://bucket_name/output/", name="model", local_path="/model", access_method="env")],
                      log_url="obs://bucket_name/log/",
                      train_instance_type="modelarts.vm.gpu.v100",
                      train_instance_count=1
                      )
job_instance = estimator.fit(job_name="job-0")
"""  # noqa: E501
BEGIN = """
from modelarts.session import Session
from modelarts.estimatorV2 import Estimator
session = Session()
"""
LIST = """
job_list = Estimator.get_job_list(session=session, offset=0, limit=5, sort_by="create_time", order="asc",
                                  filters=[{"key": "name", "operator": "like", "value": ["job"]}])

print(job_list)
"""  # noqa: E501
BY_ID = 'estimator = Estimator(session=session, job_id="%s")\n'
CALLS = {
    "info": "get_job_info()",
    "log": "get_job_log()",
    "metrics": "get_job_metrics()",
    "update": "update_job_configs(description='a new description')",
    "stop": "control_job()",
}
OFFERS = """
instance_types = Estimator.get_train_instance_types(session=session)
print(instance_types)
frameworks = Estimator.get_framework_list(session=session)
print(frameworks)
"""
#: A loop of polls as scripts have it: phases by text, failures by error_msg, the log by name.
SCRIPT = """
import sys
import time

from modelarts.session import Session
from modelarts.estimatorV2 import Estimator
from modelarts.train_params import InputData, OutputData, TrainingFiles

session = Session()
CODE = "/bucket_name/code_dir/"
LOG = "/bucket_name/log/"
JOB_NAME = "train_" + time.strftime("%Y_%m_%d-%H_%M_%S")


def create(inputs, output):
    estimator = Estimator(
        session=session,
        framework_type="PyTorch",
        framework_version="PyTorch-1.4.0-python3.6",
        training_files=TrainingFiles(code_dir="obs:/" + CODE, boot_file="obs:/" + CODE + "boot_file.py"),
        log_url="obs:/" + LOG,
        parameters=[{"name": "epochs", "value": "3"}],
        outputs=[OutputData(obs_path="obs:/" + output, name="train_url")],
        pool_id=None,
        train_instance_type="modelarts.vm.cpu.2u",
        train_instance_count=1,
        job_description="train",
        user_command=None,
    )
    try:
        return estimator.fit(
            inputs=[InputData(obs_path="obs:/" + inputs, name="data_url")], wait=False, job_name=JOB_NAME
        )
    except Exception as error:
        print("failed to create job on modelarts, msg %s" % error)
        sys.exit(1)


job = create("/bucket_name/input/", "/bucket_name/output/")
info = job.get_job_info()
if "error_msg" in info.keys():
    print("failed to run job, msg %s" % info["error_msg"])
    sys.exit(1)
log_prefix = "obs:/" + LOG + "modelarts-job-" + info["metadata"]["id"] + "-worker"
print("created %s %s %s" % (info["metadata"]["name"], info["kind"], info["metadata"]["create_time"]))
count = 0
while True:
    time.sleep(0.001)
    count += 1
    info = job.get_job_info()
    phase = info["status"]["phase"]
    if phase == "Completed":
        print("task succeeded, total time %d(s)" % (info["status"]["duration"] / 1000))
        break
    if phase in ("Failed", "Abnormal", "Terminated"):
        print("task failed, phase %s, please check %s-0.log" % (phase, log_prefix))
        sys.exit(1)
    print("waiting for task, phase %s, looked %d times" % (phase, count))
print(job.get_job_log(task_id="worker-0")["content"])
result = Estimator.delete_job_by_id(session=session, job_id=job.job_id)
if result and "error_msg" in result:
    print(result["error_msg"])
"""  # noqa: E501


def run(source, names=None):
    """Run a sample; returns its names and what it printed."""
    names = {"__name__": "__main__"} if names is None else names
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "sample.py", "exec"), names)
    return names, printed.getvalue()
