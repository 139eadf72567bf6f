"""The samples of the SDK reference for the Estimator of V1, as printed there, and one script.

The script is written as public ones are: a polling loop, states by number, log files by name, and
``error_msg`` as a key.
"""

_HEAD = """
from modelarts.session import Session
from modelarts.estimator import Estimator
session = Session()
"""
_ENGINE = """
estimator = Estimator(
                      modelarts_session=session,
                      framework_type='PyTorch',                                     # AI engine name
                      framework_version='PyTorch-1.0.0-python3.6',                  # AI engine version
                      code_dir='/bucket/src/',                                      # Training script directory
                      boot_file='/bucket/src/pytorch_sentiment.py',                 # Training boot script directory
                      log_url='/bucket/log/',                                       # Training log directory
                      hyperparameters=[
                                       {"label":"classes",
                                        "value": "10"},
                                       {"label":"lr",
                                        "value": "0.001"}
                                       ],
                      output_path='/bucket/output/',                                # Training output directory
                      train_instance_type='modelarts.vm.cpu.2u',                    # Training environment flavor
                      train_instance_count=1,                                       # Number of training nodes
                      job_description='pytorch-sentiment with ModelArts SDK')       # Training job description
"""  # noqa: E501
_IMAGE = """
estimator = Estimator(
                      modelarts_session=session,
                      log_url='/bucket/log/',                                       # Training log directory
                      hyperparameters=[
                                       {"label":"classes",
                                        "value": "10"},
                                       {"label":"lr",
                                        "value": "0.001"}
                                       ],
                      output_path='/bucket/output/',                                # Training output directory
                      train_instance_type='modelarts.vm.cpu.2u',                    # Training environment flavor
                      train_instance_count=1,                                       # Number of training nodes
                      user_command='bash -x /home/work/run_train.sh python /home/work/user-job-dir/app/mnist/mnist_softmax.py --data_url /home/work/user-job-dir/app/mnist_data',   # Boot command of the custom image
                      user_image_url='100.125.5.235:20202/jobmng/cpu-base:1.0',     # Address for downloading the custom image
                      job_description='pytorch-sentiment with ModelArts SDK')       # Training job description
"""  # noqa: E501
_FIT = "job_instance = estimator.fit(inputs='/bucket/data/train/', wait=False, job_name='my_training_job')"  # noqa: E501
_FIT_DATASET = "job_instance = estimator.fit(dataset_id='your_dataset_id', dataset_version_id='your_dataset_version_id', wait=False, job_name='my_training_job')"  # noqa: E501
_VERSION = "job_version_instance = estimator.create_job_version(job_id='182626', pre_version_id=278813, inputs='/bucket/data/train/', wait=False, job_desc='create a job version')"  # noqa: E501

SAMPLES = {
    "obs": _HEAD + _ENGINE + _FIT,
    "dataset": _HEAD + _ENGINE + _FIT_DATASET,
    "image": _HEAD + _IMAGE + _FIT,
    "version_obs": _HEAD + _ENGINE + _VERSION,
    "version_image": _HEAD + _IMAGE + _VERSION,
}

PUBLIC_SCRIPT = """
import time
from datetime import datetime

from modelarts.estimator import JOB_STATE, Estimator
from modelarts.session import Session

CODE_DIR = '/bucket/src/'
BOOT_FILE = '/bucket/src/pytorch_sentiment.py'
DATA = '/bucket/data/train/'
OUTPUT = '/bucket/output/{}/'
LOG = '/bucket/log/'
FLAVOR = 'modelarts.vm.cpu.2u'
ENDED = (3, 5, 6, 10, 11, 12, 13, 14)


def pick_engine(session):
    engines = Estimator.get_framework_list(modelarts_session=session)
    if 'error_msg' in engines:
        raise SystemExit(engines['error_msg'])
    for engine in engines:
        if engine['framework_type'] == 'PyTorch':
            return engine
    raise SystemExit('no PyTorch')


def poll(job):
    before = None
    while True:
        info = job.get_job_info()
        if not info['is_success']:
            print('failed:', info['error_code'], info['error_msg'])
            return info
        if info['status'] != before:
            before = info['status']
            print('status', JOB_STATE[before])
        if before in ENDED:
            return info
        time.sleep(0.05)


session = Session()
if FLAVOR not in Estimator.get_train_instance_types(session):
    raise SystemExit('no such flavor')
engine = pick_engine(session)
name = 'sentiment_' + datetime.now().strftime('%Y%m%d%H%M%S')
estimator = Estimator(session,
                      train_instance_type=FLAVOR,
                      train_instance_count=1,
                      output_path=OUTPUT.format(name),
                      code_dir=CODE_DIR,
                      boot_file=BOOT_FILE,
                      log_url=LOG,
                      hyperparameters=[dict(label='epochs', value='3')],
                      **engine)
job_instance = estimator.fit(inputs=DATA, wait=False, job_name=name)
print("job_id:%s, version_id:%s" % (str(job_instance.job_id), str(job_instance.version_id)))
info = poll(job_instance)
files = job_instance.get_job_log_file_list()
print(job_instance.get_job_log(log_file=files["log_file_list"][-1]).get("content"))
listed = Estimator.get_job_list(session, per_page=100, search_content='sentiment')
for row in listed['jobs']:
    if str(row['status']) in ('10', '11', '12'):
        status = Estimator.delete_job_by_id(modelarts_session=session, job_id=str(row['job_id']))
        print('deleted', status['is_success'])
"""


def set_environment(monkeypatch, cloud):
    """Have the samples' ``Session()`` find this cloud."""
    for name, value in (
        ("ACCESS_KEY", cloud.access_key),
        ("SECRET_KEY", cloud.secret_key),
        ("PROJECT_ID", cloud.project_id),
        ("REGION", cloud.region_name),
        ("ENDPOINT", cloud.modelarts_endpoint),
        ("IAM_ENDPOINT", cloud.iam_endpoint),
    ):
        monkeypatch.setenv("MODELARTS_" + name, value)
