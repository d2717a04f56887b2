// The page of tasks while a stream is open: bars move in place, and the list is asked for anew when it has changed.
// Without the stream (or without this file) htmx asks every few seconds. What somebody has opened stays open.
"use strict";

(() => {
  const REFRESH_AT_MOST = 2000; // milliseconds between two lists, however busy the queue is
  let source = null;
  let newest = 0; // the state that the stream told of last; states are numbers that grow
  let refreshed = 0;
  let timer = null;

  const list = () => document.getElementById("tasks");

  function showProgress({ id, done, total, message }) {
    for (const bar of document.querySelectorAll(`[data-task-bar="${id}"]`)) {
      if (total === null) bar.removeAttribute("value");
      else Object.assign(bar, { max: Math.max(total, 1), value: done });
    }
    const text = [total === null ? (done ? String(done) : "") : `${done} of ${total}`, message].filter(Boolean).join(": ");
    for (const line of document.querySelectorAll(`[data-task-progress="${id}"]`)) line.textContent = text || "Running";
  }

  function keepUp() {
    if (timer || newest <= Number(list().dataset.state)) return;
    timer = setTimeout(() => {
      timer = null;
      refreshed = Date.now();
      htmx.trigger(list(), "tasks-changed");
    }, Math.max(0, refreshed + REFRESH_AT_MOST - Date.now()));
  }

  function receive(event) {
    const { progress, state } = JSON.parse(event.data);
    progress.forEach(showProgress);
    newest = Number(state);
    keepUp();
  }

  function listen() {
    const address = list()?.dataset.stream;
    // A browser opens few connections to one site: a page that nobody sees gives its own up.
    if (!address || document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource(address);
      source.addEventListener("tasks", receive);
    }
  }

  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => source?.close());
  listen();

  // A button that waits for its answer stays: htmx would not find where the answer of one that is gone belongs. The list
  // is asked for again when the answer has come.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const current = list();
    if (detail.target === current && detail.requestConfig.elt === current && current.querySelector(".htmx-request")) {
      detail.shouldSwap = false;
    }
  });

  const opened = new Set();
  document.addEventListener("click", ({ target }) => {
    const details = target.closest?.("#tasks details[id] > summary")?.parentElement;
    if (details?.open) opened.delete(details.id);
    else if (details) opened.add(details.id);
  });
  // Not before htmx has settled: until then it may take attributes away again that the server did not send.
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    keepUp();
  });
})();
