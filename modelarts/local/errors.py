"""A refusal, in the form that the service, its gateway or IAM gives it."""

from __future__ import annotations

import json
import math

from werkzeug.wrappers import Request, Response


def json_of(request: Request) -> object:
    """Return the JSON in a request's body; None where it is not JSON."""
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError):  # the latter: brackets in brackets in brackets
        return None


def json_response(body: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body), status, content_type="application/json")


class Failure(Exception):
    """A refusal by ModelArts. Source: *API Reference*, "Error Codes"."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self, request_id: str) -> Response:
        """Return the HTTP response of this refusal."""
        body = {"is_success": False, "error_code": self.code, "error_message": self.message}
        return json_response(body, self.status)


class TrainingFailure(Failure):
    """A refusal by the API of training jobs (v2), which says what to do."""

    def __init__(self, status: int, code: str, message: str, solution: str) -> None:
        super().__init__(status, code, message)
        self.solution = solution

    def response(self, request_id: str) -> Response:
        body = {
            "error_msg": self.message,
            "error_code": self.code,
            "error_solution": self.solution,
        }
        return json_response(body, self.status)


class NoSuchTraining(TrainingFailure):
    """The project has no such training job. The API answers 400; a page of it is not found."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "ModelArts.2775", message, "List the training jobs of the project.")


class GatewayFailure(Failure):
    """A refusal by the API gateway, before the service sees the request."""

    def response(self, request_id: str) -> Response:
        body = {"error_code": self.code, "error_msg": self.message, "request_id": request_id}
        return json_response(body, self.status)


class Throttled(GatewayFailure):
    """A refusal by the API gateway: too many calls. Source: *API Gateway — User Guide*, "Error
    Codes"."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(429, "APIG.0308", "The throttling threshold has been reached: " + message)
        self.seconds = seconds

    def response(self, request_id: str) -> Response:
        """The answer, which says when to come again."""
        response = super().response(request_id)
        response.headers["Retry-After"] = str(max(1, math.ceil(self.seconds)))
        return response


class IamFailure(Failure):
    """A refusal by IAM; ``code`` is the title of the HTTP status."""

    def response(self, request_id: str) -> Response:
        error = {"code": self.status, "title": self.code, "message": self.message}
        return json_response({"error": error}, self.status)
