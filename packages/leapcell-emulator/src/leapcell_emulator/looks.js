// Looks into the services, and changes rules and latencies while the emulator runs.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const TITLES = { postgres: "PostgreSQL", object_storage: "Object Storage", redis: "Redis", async_queue: "Async queue" };
  const NOTHING = { columns: [], rows: [], opens: [], downloads: [], more: false, note: "" };
  let shown = { service: "", of: "", rows: 0 };
  let change = null;

  function cell(tag, text) {
    const element = document.createElement(tag);
    if (tag === "th") element.scope = "col";
    element.textContent = text;
    return element;
  }

  function firstCell(found, place, text) {
    const box = cell("td", "");
    if (found.opens.length) {
      const button = cell("button", text);
      Object.assign(button, { type: "button", className: "link mono" });
      button.addEventListener("click", () => look(shown.service, found.opens[place]));
      box.append(button);
    } else if (found.downloads.length) {
      const link = cell("a", text);
      link.href = `/__emulator/object?key=${encodeURIComponent(found.downloads[place])}`;
      box.append(link);
    } else box.textContent = text;
    return box;
  }

  async function fetchTable(service, of, after) {
    try {
      const answer = await fetch(`/__emulator/look/${service}?${new URLSearchParams({ of, after })}`);
      const found = await answer.json();
      return answer.ok ? found : { ...NOTHING, note: found.message };
    } catch {
      return { ...NOTHING, note: "The emulator does not answer." };
    }
  }

  // Shows a service, or the part of it that is called `of`; with `more` the rows after those that are shown.
  async function look(service, of = "", more = false) {
    const after = more ? shown.rows : 0;
    const found = await fetchTable(service, of, after);
    shown = { service, of, rows: after + found.rows.length };
    $("look-title").textContent = of || TITLES[service];
    $("look-back").hidden = !of;
    $("look-more").hidden = !found.more || found.opens.length > 0; // lists of tables and keys end at their limit
    const count = `${found.more ? "The first " : ""}${shown.rows} ${shown.rows === 1 ? "row" : "rows"}`;
    $("look-note").textContent = found.note || (shown.rows ? count : "Nothing is there.");
    const head = document.createElement("tr");
    head.append(...found.columns.map((name) => cell("th", name)));
    $("look-head").replaceChildren(head);
    const rows = found.rows.map((values, place) => {
      const row = document.createElement("tr");
      row.append(...values.map((text, column) => (column ? cell("td", text) : firstCell(found, place, text))));
      return row;
    });
    if (more) $("look-rows").append(...rows);
    else $("look-rows").replaceChildren(...rows);
    if (!$("look").open) $("look").showModal();
  }

  // The question about a rule or a latency: its title, its value as on the command line, and the action with an answer.
  function question(name) {
    const state = window.emulator.state();
    if (name === "latency") {
      return { title: "Latency to the region and back", value: state.latency_ms, unit: "ms", order: (text) => [name, text] };
    }
    if (name === "db-latency") {
      const value = state.services.postgres.latency_ms;
      return { title: "Latency of a statement to the database", value, unit: "ms", order: (text) => [name, text] };
    }
    const rule = state.rules.find((one) => one.name === name);
    const value = { true: "on", false: "off" }[rule.value] ?? String(rule.value);
    const unit = typeof rule.value === "boolean" ? "on or off" : rule.text === value ? "" : `now ${rule.text}`;
    return { title: `${rule.id} ${rule.title}`, value, unit, order: (text) => ["change-rule", `${name}=${text}`] };
  }

  function ask(name) {
    change = question(name);
    $("change-title").textContent = change.title;
    $("change-value").value = change.value;
    $("change-unit").textContent = change.unit;
    $("change").showModal();
    $("change-value").select();
  }

  function save() {
    $("change").close();
    window.emulator.act(...change.order($("change-value").value.trim()));
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("button");
    if (button?.dataset.look) look(button.dataset.look);
    if (button?.dataset.change && window.emulator.state()) ask(button.dataset.change);
  });
  $("look-back").addEventListener("click", () => look(shown.service));
  $("look-again").addEventListener("click", () => look(shown.service, shown.of));
  $("look-more").addEventListener("click", () => look(shown.service, shown.of, true));
  $("look-close").addEventListener("click", () => $("look").close());
  $("change-save").addEventListener("click", save);
  $("change-close").addEventListener("click", () => $("change").close());
  $("change-value").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // else it presses the button that has the focus again
    save();
  });
})();
