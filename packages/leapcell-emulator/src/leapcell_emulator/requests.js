// Opens one request of the list: its headers, bodies, log lines, rules and times. Filters the list. Calls a timer now.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, text = "", className = "") => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.textContent = text;
    return element;
  };
  const dialog = $("request");
  let shown = null;

  function part(title, text) {
    const box = make("details");
    box.open = true;
    const pre = make("pre", text);
    pre.tabIndex = 0;
    box.append(make("summary", title), pre);
    return box;
  }

  const head = (headers) => headers.map(([name, value]) => `${name}: ${value}`).join("\n");
  const body = ({ body, encoding, size, complete }) =>
    !size ? "" : encoding ? `(${size} bytes, not text)` : complete ? body : `${body}\n… (${size} bytes, the rest is not kept)`;

  async function open(number) {
    const answer = await fetch(`/__emulator/requests/${number}`);
    const found = await answer.json();
    if (!answer.ok) {
      $("said").textContent = [found.message, found.hint].filter(Boolean).join(" ");
      return;
    }
    shown = found;
    $("request-title").textContent = `${found.method} ${found.path}`;
    const { frozen, ...within } = found.times;
    const times = Object.entries(within).map(([name, seconds]) => `${name} ${(seconds * 1000).toFixed(1)} ms`);
    times.push(`after ${frozen.toFixed(1)} s without a request`);
    const parts = [`${found.status || "no answer"}`, found.instance, ...times, found.rules.length && `rules: ${found.rules.join(", ")}`];
    $("request-about").textContent = parts.filter(Boolean).join(" · ");
    const boxes = [
      ["Request headers", head(found.request.headers)],
      ["Request body", body(found.request)],
      ["Answer headers", head(found.answer.headers)],
      ["Answer body", body(found.answer)],
      ["Log of the instance since", found.log.join("\n")],
    ];
    $("request-parts").replaceChildren(...boxes.filter(([, text]) => text).map(([title, text]) => part(title, text)));
    if (!dialog.open) dialog.showModal();
  }

  function filter() {
    const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of $("requests").children) {
      const text = row.textContent.toLowerCase();
      row.classList.toggle("filtered", !words.every((word) => text.includes(word)));
    }
  }

  document.addEventListener("click", async ({ target }) => {
    const number = target.closest?.("[data-request]")?.dataset.request;
    if (number) open(number);
  });
  $("request-close").addEventListener("click", () => dialog.close());
  $("request-curl").addEventListener("click", async () => {
    await navigator.clipboard.writeText(shown.curl);
    $("request-curl").textContent = "Copied";
    setTimeout(() => { $("request-curl").textContent = "Copy as curl"; }, 2000);
  });
  $("request-replay").addEventListener("click", async () => {
    const answer = await fetch("/__emulator/act", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Leapcell-Emulator": "1" },
      body: JSON.stringify({ action: "replay", request: String(shown.number) }),
    });
    const { message, hint } = await answer.json();
    $("request-about").textContent = [message, hint].filter(Boolean).join(" ");
  });
  $("filter").addEventListener("input", filter);
  new MutationObserver(filter).observe($("requests"), { childList: true });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input")) return;
    event.preventDefault();
    $("filter").focus();
  });
})();
