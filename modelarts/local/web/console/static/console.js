// Keeps what is live on a page up to date while the page is visible. All else works without it.

const PERIOD = 3000;
const MAX_PERIOD = 30000;
const LOG_PERIOD = 1500;

const token = document.getElementById("console-script").dataset.token;
const live = document.querySelector("[data-live]");
const log = document.querySelector("[data-log]");
const news = document.getElementById("news");

/** That of the live part, where the service has told one. */
let version = null;
let hasEdits = false;
document.addEventListener("input", () => {
  hasEdits = true;
});

const ask = (address, headers) =>
  fetch(address, {
    headers: { "X-Console-Token": token, ...headers },
    cache: "no-store",
    redirect: "error",
  });

/** Call again and again while the page is visible, and less often while that fails. */
function repeat(call, period) {
  let pause = period;
  let timer = 0;
  let isAsking = false;
  const next = async () => {
    clearTimeout(timer);
    if (document.hidden || isAsking) return;
    isAsking = true;
    try {
      const goesOn = await call();
      pause = period;
      if (goesOn === false) return;
    } catch {
      pause = Math.min(2 * pause, MAX_PERIOD);
    } finally {
      isAsking = false;
    }
    if (!document.hidden) timer = setTimeout(next, pause);
  };
  document.addEventListener("visibilitychange", next);
  timer = setTimeout(next, period);
}

const keysOf = (element) =>
  Array.from(element.querySelectorAll("[data-part], [data-row]"), (each) => each.id).join(" ");

/** Replace an element, and keep the focus where it was. */
function replace(before, after) {
  const focused = before.contains(document.activeElement) ? document.activeElement : null;
  const label =
    focused && (focused.dataset.focus || focused.getAttribute("aria-label") || focused.textContent);
  before.replaceWith(after);
  if (!focused) return;
  const choices = Array.from(after.querySelectorAll("a, button, [tabindex]"));
  const same = choices.find((each) => (each.getAttribute("aria-label") || each.textContent) === label);
  const target = same || choices[0];
  if (target) {
    target.focus();
  } else {
    // A job that is being stopped has no buttons; the focus waits here for those that come.
    after.dataset.focus = label;
    after.tabIndex = -1;
    after.focus();
  }
}

async function refresh() {
  const answer = await ask(location.href, version ? { "If-None-Match": version } : {});
  if (answer.status === 304) return true;
  if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
    location.reload();
    return false;
  }
  if (!answer.ok) throw new Error(answer.status);
  version = answer.headers.get("ETag");
  const fresh = document.createElement("div");
  fresh.append(...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes);
  // What stands outside of the live part is another with this status.
  const shapes = [live, fresh].map((each) => each.querySelector("[data-shape]")?.dataset.shape);
  if (shapes[0] !== shapes[1] && !hasEdits) {
    location.reload();
    return false;
  }
  const changes = [];
  if (keysOf(fresh) === keysOf(live)) {
    for (const after of fresh.querySelectorAll("[data-part]")) {
      const before = document.getElementById(after.id);
      if (before.outerHTML === after.outerHTML) continue;
      if (after.dataset.name && before.textContent.trim() !== after.textContent.trim()) {
        changes.push(`${after.dataset.name}: ${after.textContent.trim().replace(/\s+/g, " ")}`);
      }
      replace(before, after);
    }
  } else {
    fresh.id = live.id;
    const parent = live.contains(document.activeElement) ? document.activeElement : null;
    const label = parent && parent.getAttribute("aria-label");
    live.replaceChildren(...fresh.childNodes);
    if (label) {
      const same = Array.from(live.querySelectorAll("[aria-label]"));
      (same.find((each) => each.getAttribute("aria-label") === label) || live).focus();
    }
  }
  if (changes.length) news.textContent = changes.slice(0, 3).join(". ");
  return true;
}

async function follow() {
  const answer = await ask(`${log.dataset.log}?from=${log.dataset.position}`);
  if (answer.status === 401) return false;
  if (!answer.ok) throw new Error(answer.status);
  const text = await answer.text();
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (answer.headers.get("X-Log-Anew")) log.textContent = text;
  else if (text) log.append(text);
  log.dataset.position = answer.headers.get("X-Log-Position");
  if (text && isAtEnd) log.scrollTop = log.scrollHeight;
  return true;
}

// A proxy may have put a prefix before the path, which the service does not know.
for (const link of document.querySelectorAll("a[data-address]")) link.textContent = link.href;

// Another folder is another page; what is in the other fields goes along.
document.querySelector(".folders")?.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  const address = new URL(link.href);
  for (const name of ["name", "desc", "type", "hours"]) {
    const { value } = document.getElementById(name);
    if (value) address.searchParams.set(name, value);
  }
  link.href = address.href;
});

if (live && live.querySelector("[data-part], #none")) repeat(refresh, PERIOD);
if (log) {
  log.scrollTop = log.scrollHeight;
  repeat(follow, LOG_PERIOD);
}
