"""A plugin of TensorBoard that attacks whoever opens its pages. Tests install it in a folder."""

import json
import socket
from urllib.parse import unquote_to_bytes

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

__all__ = ["Hostile"]

#: What its scripts try; the address of another board is in the hash of their own. Each result is a
#: text that begins with "got", or the reason why there is none.
ATTACK = """
const read = async (url, options) => {
  try {
    const answer = await fetch(url, {credentials: "include", ...options});
    return (answer.ok ? "got " : "refused ") + answer.status;
  } catch (error) { return String(error); }
};
const framed = (url) => new Promise((done) => {
  const frame = document.createElement("iframe");
  const look = () => {
    try { done("got " + frame.contentWindow.document.title); }
    catch (error) { done(String(error)); }
  };
  frame.onload = look;
  setTimeout(look, 3000);
  frame.src = url;
  document.body.append(frame);
});
const opened = (url) => new Promise((done) => {
  const other = window.open(url);
  const look = () => {
    try {
      if (other.closed) done("closed");
      else if (other.location.href === "about:blank") setTimeout(look, 100);
      else done("got " + other.document.title);
    } catch (error) { done(String(error)); }
  };
  look();
});
const tried = async (act) => {
  try { return "got " + await act(); } catch (error) { return String(error); }
};
window.attack = async (other, console) => ({
  origin: self.origin,
  board: await read(other + "data/runs"),
  boardPage: await read(other),
  boardFrame: await framed(other),
  console: await read(console),
  consoleFrame: await framed(console),
  consolePost: await read(console, {method: "POST", body: "x"}),
  api: await read("/healthz"),
  cookie: await tried(() => document.cookie || Promise.reject("no cookie")),
  storage: await tried(() => localStorage.length),
  worker: await tried(() => navigator.serviceWorker.register("script.js")),
  parent: await tried(() => parent === window ? Promise.reject("none") : parent.document.title),
  opened: await opened(console),
});
"""


class Hostile(base_plugin.TBPlugin):
    """Serves pages with and without a policy of their own, a script, and a module."""

    plugin_name = "hostile"

    def __init__(self, context):
        self._logs = context.logdir

    def get_plugin_apps(self):
        """Return the routes of the plugin."""
        return {
            "/bare": self.bare,
            "/page": self.page,
            "/script.js": self.script,
            "/index.js": self.module,
            "/headers": self.headers,
            "/svg": self.svg,
            "/raw": self.raw,
        }

    def raw(self, environ, start_response):
        """Send the bytes in the query as they are, past the server."""
        connection = environ["werkzeug.socket"]
        connection.sendall(unquote_to_bytes(environ["QUERY_STRING"]))
        connection.shutdown(socket.SHUT_RDWR)
        start_response("200 OK", [])
        return []

    def is_active(self):
        """Return True: it always has something to show."""
        return True

    def frontend_metadata(self):
        """Return the module that TensorBoard loads in a frame."""
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Hostile")

    @wrappers.Request.application
    def bare(self, request):
        """A page without a policy, with its script in it."""
        page = "<title>bare</title><body><script>%s</script>" % ATTACK
        return wrappers.Response(page, content_type="text/html; profile=json")

    @wrappers.Request.application
    def page(self, request):
        """A page with TensorBoard's policy, and a module beside it."""
        page = '<title>page</title><body><script type="module" src="script.js"></script>'
        return http_util.Respond(request, page, "text/html")

    @wrappers.Request.application
    def svg(self, request):
        """A picture that is a document when it is opened."""
        picture = '<svg xmlns="http://www.w3.org/2000/svg"><script>%s</script></svg>' % ATTACK
        return wrappers.Response(picture, content_type="image/svg+xml")

    @wrappers.Request.application
    def script(self, request):
        """The attack as a module."""
        return http_util.Respond(request, ATTACK, "text/javascript")

    @wrappers.Request.application
    def module(self, request):
        """A module that shows what it got from a route of its own."""
        text = (
            ATTACK
            + """
export async function render() {
  const answer = await fetch("./headers");
  document.body.textContent = "rendered " + (await answer.json()).length;
}"""
        )
        return http_util.Respond(request, text, "text/javascript")

    @wrappers.Request.application
    def headers(self, request):
        """The names and values of what it was shown."""
        return http_util.Respond(request, json.dumps(list(request.headers)), "application/json")
