// The open page of the monitor: it asks for new figures when the stream says that there are some, or else at intervals.
// A page that is hidden asks for nothing. What a reader has opened stays open.
"use strict";

(() => {
  let source = null;
  let timer = null;
  let isNews = false;
  let refreshed = Date.now();

  const figures = () => document.getElementById("monitor");

  function keepUp() {
    clearTimeout(timer);
    if (document.hidden || !figures() || (source && !isNews)) return;
    const pause = refreshed + 1000 * Number(figures().dataset.refresh) - Date.now();
    timer = setTimeout(() => {
      isNews = false;
      refreshed = Date.now();
      htmx.trigger(figures(), "monitor-changed");
      keepUp();
    }, Math.max(0, pause));
  }

  function listen() {
    const address = figures()?.dataset.stream;
    // A browser opens few connections to one site: a page that is hidden closes its own.
    if (!address || document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource(address);
      source.addEventListener("figures", () => {
        isNews = true;
        keepUp();
      });
    }
    keepUp();
  }

  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => source?.close());
  listen();

  const opened = new Set();
  document.addEventListener("click", ({ target }) => {
    const details = target.closest?.("#monitor details[id] > summary")?.parentElement;
    if (details?.open) opened.delete(details.id);
    else if (details) opened.add(details.id);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  });
})();
