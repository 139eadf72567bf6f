"""Types of sessions and of their methods."""

from typing import Any, Optional

from typing_extensions import assert_type

from modelarts import constant
from modelarts.auth import AccessKey
from modelarts.config.auth import auth_by_apig
from modelarts.session import Session

session = Session(access_key="AK", secret_key="SK", project_id="p", region_name="eu-de")
assert_type(session, Session)
assert_type(Session.local("folder", stay=True), Session)
assert_type(session.keys(), AccessKey)
assert_type(session.access_key, Optional[str])
assert_type(session.project_id, str)
assert_type(session.region_name, Optional[str])
assert_type(session.request("GET", "/v1/x", {"page": 1}), Any)
assert_type(auth_by_apig(session, constant.HTTPS_GET, "/v1/x", body={"a": 1}), Any)

with Session() as opened:
    assert_type(opened, Session)

Session(acess_key="AK")  # error: [call-arg]
Session(timeout="30")  # error: [arg-type]
session.set_endpoint(iam=None)  # error: [call-arg]
session.nothing()  # error: [attr-defined]
