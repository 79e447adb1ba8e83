// Keeps the page up to date without loading it: the page is fetched again, and what differs is changed in place.
// What the reader has selected is left alone, and a daemon that does not answer is said so until it does again.
"use strict";

const EVERY_MS = 2000; // soon enough to watch a repair
const HIDDEN_MS = 15000; // nobody looks
const PATIENCE_MS = 8000; // the endpoint itself gives up a silent reader after 5 s
const reach = document.getElementById("reach");
let unreachableSince = null;
let held = false; // something differs that was not changed, because it is selected

document.documentElement.classList.add("js");

const utc = (moment) => moment.toISOString().slice(11, 19) + " UTC";

function selected(node) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(node, true);
}

function alike(old, fresh) {
  return old.nodeName === fresh.nodeName && old.dataset?.key === fresh.dataset?.key && old.id === fresh.id;
}

function remove(from, to) {
  while (from !== to) {
    const next = from.nextSibling;
    if (selected(from)) held = true;
    else from.remove();
    from = next;
  }
}

// Makes an element like a fresh one, and keeps every node that both have.
function renew(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue === fresh.nodeValue) return;
    if (selected(old)) held = true;
    else old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.dataset.own !== undefined) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    let found = at;
    while (found && !alike(found, child)) found = found.nextSibling;
    if (!found) {
      old.insertBefore(child, at);
      continue;
    }
    remove(at, found);
    renew(found, child);
    at = found.nextSibling;
  }
  remove(at, null);
}

function say(text) {
  if (reach.textContent !== text) reach.textContent = text;
  reach.hidden = !text;
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const nothingSelected = getSelection()?.isCollapsed ?? true;
  if (fresh.documentElement.dataset.version !== document.documentElement.dataset.version && nothingSelected) {
    location.reload(); // another release: its page may need another script
    return;
  }
  held = false;
  renew(document.body, fresh.body);
  if (document.title !== fresh.title) document.title = fresh.title;
  const icon = document.querySelector("link[rel=icon]");
  const href = fresh.querySelector("link[rel=icon]").getAttribute("href");
  if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    const html = await answer.text();
    if (!html.startsWith("<!doctype html>")) throw new Error(`HTTP ${answer.status}`);
    unreachableSince = null;
    document.documentElement.classList.remove("stale");
    show(html);
    say(held ? "What you selected is kept as it is until you let it go." : "");
  } catch {
    unreachableSince ??= new Date();
    document.documentElement.classList.add("stale");
    if (!document.title.startsWith("Not reachable")) document.title = `Not reachable · ${document.title}`;
    say(`Not reachable since ${utc(unreachableSince)}. This is what was known then; the page goes on by itself.`);
  }
  document.documentElement.dataset.refreshed = String(Number(document.documentElement.dataset.refreshed ?? 0) + 1);
  document.documentElement.toggleAttribute("data-held", held);
}

async function copy(button) {
  const code = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code); // a page without TLS may not write to the clipboard: the reader can
    if (!document.execCommand("copy")) return;
    getSelection().removeAllRanges();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button.copy");
  if (button) copy(button);
});

let timer = 0;
async function again() {
  clearTimeout(timer);
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(again, document.hidden ? HIDDEN_MS : EVERY_MS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
timer = setTimeout(again, EVERY_MS);
