"""Every name that the original SDK documents, or that scripts use, is on the porting page and
in the package, with these arguments."""

import inspect
import re
from pathlib import Path

import pytest

from modelarts import constant, estimatorV2, train_params
from modelarts.config.auth import auth_by_apig
from modelarts.environment import Environment
from modelarts.environment.conda_env import CondaDependencies
from modelarts.estimator import JOB_STATE, Estimator, TrainingJobVersion, VisualizationJob
from modelarts.session import Session
from modelarts.training.job import TrainingJob

PAGE = (Path(__file__).parents[2] / "docs" / "porting.md").read_text(encoding="utf-8")

#: The documented surface: what must be there whatever the page says.
DOCUMENTED = """
Session()
Session(access_key=, secret_key=, project_id=, region_name=)
Session(access_key=, secret_key=, security_token=, project_id=, region_name=)
Session(username=, password=, region_name=)
Session(username=, password=, region_name=, account=, project_id=)
Session(config_file=)
Session(project_id=, region_name=)
Session(region=)
Session.set_endpoint(iam_endpoint=, obs_endpoint=, modelarts_endpoint=, region_name=)
session.access_key
session.secret_key
session.security_token
session.project_id
session.region_name
session.user_id
session.obs
session.get_obs_client()
session.obs.upload_file(src_local_file=, dst_obs_dir=)
session.obs.upload_dir(src_local_dir=, dst_obs_dir=)
session.obs.download_file(src_obs_file=, dst_local_dir=)
session.obs.download_dir(src_obs_dir=, dst_local_dir=)
session.obs.is_obs_path_exists(url)
session.obs.copy(src, dst)
session.obs.get_default_bucket()
session.create_directory(bucket=, directory=)
session.upload_data(bucket_path=, path=)
session.download_data(bucket_path=, path=)
VisualizationJob(modelarts_session=)
VisualizationJob(modelarts_session=, visualization_id=)
job.create_visualization_job(train_url=, job_name=, job_desc=)
VisualizationJob.get_visualization_job_object_list(modelarts_session=, status=, per_page=, \
page=, sort_by=, order=, search_content=, is_show=)
VisualizationJob.get_visualization_job_object_list(modelarts_session=, sortBy=)
VisualizationJob.get_visualization_job_list(modelarts_session=, status=, per_page=, page=, \
sort_by=, order=, search_content=)
VisualizationJob.get_visualization_job_list(modelarts_session=, sortBy=)
job.get_visualization_job_info()
job.update_visualization_job(job_desc=)
job.stop_visualization_job()
job.restart_visualization_job()
job.delete_visualization_job()
job.visualization_id
job.job_id
job.job_name
job.create_time
job.status
job.is_success
JOB_STATE
Estimator(modelarts_session=, train_instance_type=, train_instance_count=, output_path=, \
code_dir=, boot_file=, framework_type=, framework_version=, hyperparameters=, log_url=, \
job_description=)
Estimator(modelarts_session=, model_name=, output_path=, train_instance_type=)
Estimator(modelarts_session=, user_image_url=, user_command=, output_path=, \
train_instance_type=)
Estimator(modelarts_session=, pool_id=)
Estimator(modelarts_session=, code_dir=, boot_file=, train_instance_type=, \
train_instance_count=, environment=)
Environment(name=, conda=)
CondaDependencies.create(channels=, pip_packages=, conda_packages=)
Estimator(modelarts_session=, job_id=, version_id=)
Estimator(modelarts_session=, config_name=)
estimator.fit(inputs=, wait=, job_name=)
estimator.fit(dataset_id=, dataset_version_id=, wait=, job_name=)
estimator.fit(data_source=)
estimator.create_job_version(job_id=, pre_version_id=, inputs=, wait=, job_desc=)
estimator.create_job_version(job_id=, pre_version_id=, dataset_id=, dataset_version_id=)
version.job_id
version.version_id
version.get_job_info()
version.get_job_version_info()
version.get_job_version_object_list(is_show=)
version.stop_job_version()
version.delete_job_version()
version.delete_job()
version.update_job_description(description=)
version.get_job_log_file_list()
version.get_job_log(log_file=, start_byte=, offset=)
Estimator.get_job_list(modelarts_session=, status=, per_page=, page=, sort_by=, order=, \
search_content=)
Estimator.get_job_list(modelarts_session=, sortBy=)
Estimator.delete_job_by_id(modelarts_session=, job_id=)
Estimator.get_train_instance_types(modelarts_session=)
Estimator.get_framework_list(modelarts_session=)
Estimator.get_built_in_algorithms(modelarts_session=)
estimator.create_job_configs(config_name=, inputs=, config_desc=)
estimator.create_job_configs(config_name=, dataset_id=, dataset_version_id=, config_desc=)
estimator.update_job_configs(config_name=, inputs=, config_desc=)
version.get_job_configs_info()
version.delete_job_configs()
Estimator.get_job_configs_list(modelarts_session=, per_page=, page=, sort_by=, order=, \
search_content=)
Estimator.get_job_configs_object_list(modelarts_session=, is_show=, per_page=, page=, sort_by=, \
order=, search_content=)
train_params.TrainingFiles(code_dir=, boot_file=, obs_path=)
train_params.InputData(obs_path=, name=, local_path=, is_local_source=)
train_params.OutputData(obs_path=, name=, local_path=, access_method=)
estimatorV2.Estimator(session=, training_files=, framework_type=, framework_version=, outputs=, \
parameters=, train_instance_type=, train_instance_count=, log_url=, env_variables=, \
working_dir=, local_code_dir=, job_description=)
estimatorV2.Estimator(session=, user_image_url=, user_command=, pool_id=, volumes=)
estimatorV2.Estimator(session=, job_id=)
estimatorV2.Estimator.fit(self, inputs=, job_name=, wait=, show_log=)
estimatorV2.Estimator.get_job_list(session=, offset=, limit=, sort_by=, order=, group_by=, \
filters=)
estimatorV2.Estimator.control_job_by_id(session=, job_id=)
estimatorV2.Estimator.delete_job_by_id(session=, job_id=)
estimatorV2.Estimator.get_train_instance_types(session=)
estimatorV2.Estimator.get_framework_list(session=)
training.job_id
training.get_job_info()
training.control_job()
training.update_job_configs(description=)
training.get_job_log(task_id=)
training.get_job_metrics(task_id=)
training.delete_job()
auth_by_apig(session, method, path)
auth_by_apig(session, method, path, query=, body=, headers=)
constant.HTTPS_GET
constant.HTTPS_POST
constant.HTTPS_PUT
constant.HTTPS_DELETE
""".strip().split("\n")
ENVIRONMENT = """
PROJECT_ID
REGION_NAME
INSTANCE_ID
MA_APIGW_ENDPOINT
S3_ENDPOINT
S3_ACCESS_KEY_ID
S3_SECRET_ACCESS_KEY
~/.modelarts/config.json
HUAWEICLOUD_SDK_AK
~/.huaweicloud/credentials
OS_USERNAME
""".strip().split("\n")

ROWS = re.findall(r"^\| `([^`]+)` \| (\w+) \|", PAGE, re.M)
NAMES = [name for name, _ in ROWS]
VARIABLES = [*ENVIRONMENT, "MODELARTS_ACCESS_KEY"]


@pytest.mark.parametrize("name", DOCUMENTED + ENVIRONMENT)
def test_a_documented_name_is_on_the_page(name):
    assert name in NAMES


def test_no_name_is_there_twice_and_each_says_how_it_is():
    assert len(set(NAMES)) == len(NAMES)
    assert {word for _, word in ROWS} == {"same", "changed", "new"}


def test_what_is_not_documented_is_marked_as_new():
    new = {name for name, word in ROWS if word == "new"}
    assert not new & set(DOCUMENTED)
    assert set(NAMES) - set(DOCUMENTED) - set(ENVIRONMENT) <= new


@pytest.mark.parametrize("name", [name for name in NAMES if name not in VARIABLES])
def test_a_name_of_the_page_is_there_and_takes_these_arguments(name, fake_modelarts):
    names = {
        "Session": Session,
        "VisualizationJob": VisualizationJob,
        "JOB_STATE": JOB_STATE,
        "Estimator": Estimator,
        "estimator": Estimator(fake_modelarts.session()),
        "version": TrainingJobVersion(fake_modelarts.session(), job_id="1", version_id="2"),
        "auth_by_apig": auth_by_apig,
        "constant": constant,
        "CondaDependencies": CondaDependencies,
        "Environment": Environment,
        "estimatorV2": estimatorV2,
        "train_params": train_params,
        "training": TrainingJob(),
        "session": fake_modelarts.session(),
        "job": VisualizationJob(fake_modelarts.session(), fake_modelarts.add_job()),
    }
    path, call, arguments = re.match(r"([\w.]+)(\(?)(.*?)\)?\Z", name).groups()
    first, *rest = path.split(".")
    found = names[first]
    for attribute in rest:
        found = getattr(found, attribute)
    if call:
        given = [argument.strip() for argument in arguments.split(",") if argument]
        positional = [argument for argument in given if not argument.endswith("=")]
        named = [argument[:-1] for argument in given if argument.endswith("=")]
        inspect.signature(found).bind_partial(*positional, **dict.fromkeys(named))


@pytest.mark.parametrize(
    ("variable", "value", "attribute"),
    [
        ("PROJECT_ID", "p", "project_id"),
        ("REGION_NAME", "eu-de", "region_name"),
        ("MA_APIGW_ENDPOINT", "https://modelarts.example.com", "modelarts_endpoint"),
        ("S3_ENDPOINT", "https://obs.example.com", "obs_endpoint"),
    ],
)
def test_a_variable_of_modelarts_is_read(monkeypatch, variable, value, attribute):
    monkeypatch.setenv(variable, value)
    session = Session(access_key="AK", secret_key="SK")
    assert getattr(session, attribute) == value


@pytest.mark.parametrize(
    ("access", "secret"),
    [
        ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
        ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"),
        ("MODELARTS_ACCESS_KEY", "MODELARTS_SECRET_KEY"),
    ],
)
def test_keys_are_read_from_the_variables_of_the_page(monkeypatch, access, secret):
    monkeypatch.setenv(access, "AK")
    monkeypatch.setenv(secret, "SK")
    assert (Session().access_key, Session().secret_key) == ("AK", "SK")


def test_the_statuses_are_those_of_the_original():
    assert JOB_STATE[8] == "JOBSTAT_RUNNING"
