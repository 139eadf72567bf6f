"""A browser without a screen, for the pages of the console."""

import re
from html import unescape
from urllib.parse import urlsplit

import requests

__all__ = ["Browser", "link_of", "loopback"]


def loopback(url, address):
    """Return the URL with the scheme, host and port of another address."""
    return address + url[len("%s://%s" % urlsplit(url)[:2]) :]


def link_of(service):
    """Return a new link that signs in the user ``local``."""
    with service.session() as session:
        made = session.request("POST", "/local/console-links")
    return loopback(made["url"], service.connection["modelarts_endpoint"])


class Browser:
    """A browser that keeps cookies, and sends forms with the token of the last page.

    Args:
        service: the service whose console it shows.
    """

    def __init__(self, service):
        self.address = service.connection["modelarts_endpoint"]
        self.console = self.address + "/console/"
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = ""
        self.project = ""

    def close(self):
        self.session.close()

    def open(self, link):
        """Sign in with a link, and look at the first page."""
        answer = self.session.get(link)
        return self.get("") if answer.ok else answer

    def sign_in(self, name, password):
        """Sign in with a password, and look at the first page."""
        form = {"name": name, "password": password}
        answer = self.session.post(self.console + "sign-in", data=form)
        return self.get("") if answer.ok else answer

    def get(self, path, **headers):
        """Return a page below the console."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.session.get(self.console + path, headers=headers)
        found = re.search(r'data-token="([^"]+)"', answer.text)
        self.token = unescape(found.group(1)) if found else self.token
        found = re.search(r"/console/([0-9a-f]{32})/", answer.url)
        self.project = found.group(1) if found else self.project
        return answer

    def page(self, path, **headers):
        """Return a page of the project."""
        return self.get("%s/%s" % (self.project, path), **headers)

    def post(self, path, headers=None, **form):
        """Send a form of the project."""
        address = "%s%s/%s" % (self.console, self.project, path)
        return self.session.post(address, data={"token": self.token, **form}, headers=headers)
