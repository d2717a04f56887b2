// Asks for the state each second and shows it. What is on the page already is changed in place, so that the focus, a
// selection and what somebody has opened stay.
"use strict";

(() => {
  const INTERVAL = 1000; // milliseconds
  const SHOWN = 100; // requests, events
  const $ = (id) => document.getElementById(id);
  let paused = false;
  let state = null;
  let timer = 0;
  let saidTimer = 0;

  // Text for people

  const size = (bytes) => {
    if (bytes === null || bytes === undefined) return "–";
    if (bytes < 1024) return `${bytes} B`;
    if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(bytes < 10240 ? 1 : 0)} KiB`;
    return `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0)} MiB`;
  };
  const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB");
  const age = (iso) => {
    const seconds = Math.max(0, Math.round((Date.now() - new Date(iso)) / 1000));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  };
  const words = (name) => {
    const text = name.replaceAll("_", " ").replace(/\bcdn\b/, "CDN");
    return text[0].toUpperCase() + text.slice(1);
  };
  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

  // Elements

  const set = (element, text) => {
    if (element.textContent !== String(text)) element.textContent = text;
  };
  const make = (tag, className = "", text = "") => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.textContent = text;
    return element;
  };
  const link = (href, text) => {
    const element = make(href.startsWith("http") ? "a" : "span", "", text);
    if (element.href !== undefined) Object.assign(element, { href, rel: "noreferrer", target: "_blank" });
    return element;
  };

  // Makes `box` show `items` in their order: each by one element, found again by its key.
  function show(box, items, key, create, update = () => {}) {
    const old = new Map([...box.children].map((child) => [child.dataset.key, child]));
    let place = null;
    for (const item of items) {
      const name = String(key(item));
      let element = old.get(name);
      old.delete(name);
      if (!element) {
        element = create(item);
        element.dataset.key = name;
      }
      update(element, item);
      const next = place ? place.nextSibling : box.firstChild;
      if (next !== element) box.insertBefore(element, next);
      place = element;
    }
    for (const element of old.values()) element.remove();
  }

  function gauge(meter, value, max) {
    meter.max = max;
    meter.low = max * 0.75;
    meter.high = max * 0.9;
    meter.optimum = 0;
    meter.value = value;
  }

  // Parts of the page

  function showHead() {
    set($("name"), state.name);
    document.title = `${state.name} · LeapCell emulator`;
    const about = $("about");
    if (!about.firstChild) about.append(link(state.urls.public, state.urls.public), make("span"));
    const parts = [
      state.urls.async && `async at ${state.urls.async}`,
      `deployment ${state.deployment}${state.deploying ? ", another is being made" : ""}`,
      `rules: ${state.profile}`,
      `sandbox: ${state.sandbox}`,
      `up for ${age(state.started)}`,
    ];
    set(about.lastChild, ["", ...parts.filter(Boolean)].join(" · "));
    $("open").href = state.urls.public;
    set($("latency"), `Latency ${state.latency_ms} ms`);
    document.querySelector("header [data-action=deploy]").disabled = state.deploying;
    document.querySelector("header [data-action=deliver-twice]").hidden = !("async_queue" in state.services);
  }

  function showFigures() {
    const alive = state.instances.filter((one) => !one.ended);
    const count = (name) => alive.filter((one) => one.state === name).length;
    const times = state.requests.map((one) => one.seconds * 1000).sort((a, b) => a - b);
    const fired = state.rules.reduce((sum, rule) => sum + rule.fired, 0);
    const median = times.length ? `${times[Math.floor(times.length / 2)].toFixed(1)} ms` : "–";
    const refused = state.requests.filter((one) => one.rule || one.status >= 500).length;
    const figures = [
      ["Instances", alive.length, `${count("running")} running, ${count("frozen")} frozen`],
      ["Requests in flight", state.in_hand, ""],
      ["Median time", median, `of the last ${times.length}`],
      ["Failed or cut", refused, `of the last ${times.length}`],
      ["Cold starts", state.cold_starts, ""],
      ["Rules fired", fired, "since the start"],
    ];
    show($("figures"), figures, ([name]) => name, ([name]) => {
      const box = make("div");
      box.append(make("dt", "", name), make("dd"), make("dd", "note"));
      return box;
    }, (box, [, value, note]) => {
      set(box.children[1], value);
      set(box.children[2], note);
    });
  }

  function createInstance(one) {
    const card = $("instance").content.firstElementChild.cloneNode(true);
    card.dataset.instance = one.name;
    card.setAttribute("aria-label", `Instance ${one.name}`);
    for (const button of card.querySelectorAll("button")) button.setAttribute("aria-keyshortcuts", button.lastChild.textContent);
    return card;
  }

  function updateInstance(card, one) {
    const fact = (name, text) => set(card.querySelector(`[data-fact="${name}"]`), text);
    const badge = card.querySelector(".state");
    set(card.querySelector("h3"), one.name);
    set(badge, one.state);
    badge.dataset.state = one.state;
    set(card.querySelector(".deployment"), `deployment ${one.deployment}`);
    fact("requests", `${one.served}${one.in_hand ? `, ${one.in_hand} in flight` : ""}`);
    fact("cpu", one.cpu_seconds === null ? "–" : `${one.cpu_seconds.toFixed(2)} s`);
    fact("temp", `${plural(one.temp_files, "file")}, ${size(one.temp_bytes)}`);
    fact("age", age(one.since));
    fact("memory", `${size(one.memory)} of ${size(one.memory_limit)}`);
    fact("memory-label", one.memory_limited ? "Memory" : "Memory (watched)");
    gauge(card.querySelector("meter"), one.memory ?? 0, one.memory_limit);
    card.querySelector("meter").setAttribute("aria-label", `Memory of ${one.name}`);
    const freeze = card.querySelector("[data-action=freeze], [data-action=thaw]");
    freeze.dataset.action = one.state === "frozen" ? "thaw" : "freeze";
    set(freeze.firstChild, one.state === "frozen" ? "Continue " : "Freeze ");
    for (const button of card.querySelectorAll("button")) button.disabled = one.state === "starting";
    const log = card.querySelector("pre");
    if (log.parentElement.open) {
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
      set(log, one.log.join("\n") || "Nothing yet.");
      if (atEnd) log.scrollTop = log.scrollHeight;
    }
  }

  function showInstances() {
    const alive = state.instances.filter((one) => !one.ended);
    const ended = state.instances.filter((one) => one.ended);
    const order = (one) => Number(one.name.replace(/\D/g, ""));
    alive.sort((a, b) => order(a) - order(b));
    show($("instances"), alive, (one) => one.name, createInstance, updateInstance);
    $("no-instances").hidden = alive.length > 0;
    $("ended-box").hidden = !ended.length;
    set($("ended-title"), `${plural(ended.length, "instance")} no more`);
    show($("ended"), ended, (one) => one.name, (one) => {
      const line = make("li");
      const badge = make("span", "state", one.state);
      badge.dataset.state = one.state;
      line.append(make("b", "mono", one.name), badge, make("span", "", one.ended),
        make("span", "quiet", `deployment ${one.deployment}, ${plural(one.served, "request")}`));
      if (one.log.length) {
        const log = make("details");
        log.append(make("summary", "", "Log"), make("pre", "", one.log.join("\n")));
        line.append(log);
      }
      return line;
    });
  }

  const TITLES = { postgres: "PostgreSQL", object_storage: "Object Storage", redis: "Redis", async_queue: "Async queue", cron: "Cron" };

  // Pairs like size and max_size become a gauge, everything else but lists a line.
  function updateService(card, [, status]) {
    const names = Object.keys(status).filter((name) => status[name] !== null && !name.startsWith("max_"));
    const isSize = (name) => /size|bytes/.test(name) && name !== "pool_size"; // of that one, connections
    const text = (name, value) => (isSize(name) ? size(value) : { true: "yes", false: "no" }[value] ?? String(value));
    const simple = (name) => typeof status[name] !== "object";
    const gauges = names.filter((name) => simple(name) && status[`max_${name}`]);
    show(card.children[1], names.filter((name) => simple(name) && !gauges.includes(name)), (name) => name, (name) => {
      const box = make("div");
      box.append(make("dt", "", words(name)), make("dd"));
      return box;
    }, (box, name) => set(box.lastChild, text(name, status[name])));
    show(card.children[2], gauges, (name) => name, (name) => {
      const box = make("div", "gauge");
      box.append(make("span", "", words(name)), make("span"), make("meter"));
      box.lastChild.setAttribute("aria-label", words(name));
      return box;
    }, (box, name) => {
      set(box.children[1], `${text(name, status[name])} of ${text(name, status[`max_${name}`])}`);
      gauge(box.lastChild, status[name], status[`max_${name}`]);
    });
    const remarks = (status.notices ?? []).slice(-20);
    show(card.children[3], remarks, (remark) => remark, (remark) => make("li", "", remark));
    // Of the queue its last requests, of cron its timers.
    const recent = (status.requests ?? []).slice(-8).reverse().map((one) => [clock(one.taken), one.method, one.path,
      one.state, one.status, one.attempts > 1 && `× ${one.attempts}`]);
    const timers = (status.timers ?? []).map((one) => [one.method, one.path, one.schedule,
      `· ${plural(one.calls, "call")}, ${one.failures} failed`, one.due && `· next ${clock(one.due)}`]);
    const lines = [...recent, ...timers].map((parts, place) => ({
      text: parts.filter(Boolean).join(" "), place, timer: place < recent.length ? null : place - recent.length,
    }));
    const key = ({ text, place, timer }) => (timer === null ? `${place} ${text}` : `timer ${timer}`);
    show(card.children[4], lines, key, ({ timer }) => {
      const line = make("li", "mono");
      line.append(make("span"));
      if (timer !== null) {
        const button = make("button", "", "Run now");
        Object.assign(button.dataset, { action: "run-cron", timer });
        button.type = "button";
        line.append(" ", button);
      }
      return line;
    }, (line, { text }) => set(line.firstChild, text));
  }

  const LOOKS = ["postgres", "object_storage", "redis", "async_queue"];

  function lookButton(name) {
    const button = make("button", "look", "Look inside");
    Object.assign(button, { type: "button" }).dataset.look = name;
    button.setAttribute("aria-label", `Look inside ${TITLES[name]}`);
    return button;
  }

  function databaseButtons() {
    const box = make("div", "buttons");
    for (const [text, data] of [["Latency …", { change: "db-latency" }], ["Fail for 10 s", { action: "fail-database", target: "10" }],
      ["Disconnect all", { action: "disconnect-database" }]]) {
      const button = make("button", "", text);
      button.type = "button";
      Object.assign(button.dataset, data);
      box.append(button);
    }
    return box;
  }

  function showServices() {
    const services = Object.entries(state.services);
    $("services-box").hidden = !services.length;
    show($("services"), services, ([name]) => name, ([name]) => {
      const card = make("article", "card");
      const head = make("div", "card-head");
      head.append(make("h3", "", TITLES[name] ?? words(name)));
      if (LOOKS.includes(name)) head.append(lookButton(name));
      card.append(head, make("dl", "facts"), make("div"), make("ul", "notices"), make("ul", "recent"));
      if (name === "postgres") card.append(databaseButtons());
      return card;
    }, updateService);
  }

  function createEvent(event) {
    const line = make("li");
    const chip = make("span", `chip ${event.level}`, event.rule || event.level);
    if (event.rule) chip.title = event.level;
    const body = make("div");
    const where = make("span", "where");
    const about = [event.path, event.instance && !event.message.includes(event.instance) && event.instance];
    where.append([...about, ""].filter((part, index) => part || index === 2).join(" · "));
    if (event.source) where.append(`${event.evidence}: `, link(event.source, event.source), ` · ${event.option} changes it`);
    const message = make("p", "", `${event.message} `);
    message.append(make("span", "count"));
    body.append(message, where);
    line.append(make("time", "", clock(event.time)), chip, body);
    return line;
  }

  function showEvents() {
    const all = state.events.filter((event) => !$("quiet-events").checked || event.level !== "info");
    // What happened several times running is one line with a count.
    const lines = [];
    for (const event of all) {
      const what = [event.name, event.message, event.path].join("\n");
      const last = lines.at(-1);
      if (last?.what === what) last.count += 1;
      else lines.push({ ...event, what, count: 1 });
    }
    const key = ({ what, time }) => `${time} ${what}`;
    show($("events"), lines.slice(-SHOWN).reverse(), key, createEvent, (line, { count }) => {
      set(line.querySelector(".count"), count > 1 ? `× ${count}` : "");
    });
    $("no-events").hidden = all.length > 0;
    show($("rules"), state.rules, (rule) => rule.name, (rule) => {
      const row = make("tr");
      const known = make("td");
      known.append(link(rule.source, rule.evidence));
      const option = make("td", "narrow");
      option.append(make("code", "", rule.option));
      const now = make("td", "narrow");
      if (rule.live) {
        const button = make("button", "", "Change");
        button.type = "button";
        button.setAttribute("aria-label", `Change ${rule.option}`);
        button.dataset.change = rule.name;
        now.append(button);
      }
      row.append(make("td", "", rule.id), make("td", "", rule.title), make("td", "narrow"),
        make("td", "number"), known, option, now);
      return row;
    }, (row, rule) => {
      set(row.children[2], rule.text);
      set(row.children[3], rule.fired || "");
      row.children[3].classList.toggle("fired", rule.fired > 0);
    });
  }

  function createRequest(one) {
    const row = make("tr", one.rule ? "refused" : "");
    const time = make("td", "narrow");
    time.append(make("time", "", clock(one.time)));
    const request = make("td", "request mono");
    const open = make("button", "link mono", `${one.method} ${one.path}`);
    Object.assign(open, { type: "button" }).dataset.request = one.number;
    request.append(open);
    const bad = one.status >= 500 || one.status === 0 ? "status-bad" : one.status >= 400 ? "status-odd" : "";
    row.append(time, request, make("td", `narrow ${bad}`, one.status || "gone"),
      make("td", "number", (one.seconds * 1000).toFixed(1)), make("td", "narrow mono", one.instance || "–"),
      make("td", "number narrow", one.bytes_in ? size(one.bytes_in) : ""), make("td", "number narrow", size(one.bytes_out)),
      make("td", "narrow rules", one.rules.join(" ")));
    return row;
  }

  function showRequests() {
    const keys = new Map();
    const keyed = state.requests.map((one) => {
      const key = `${one.time} ${one.method} ${one.path} ${one.seconds}`;
      keys.set(key, (keys.get(key) ?? 0) + 1);
      return { ...one, key: `${key} ${keys.get(key)}` };
    });
    // A rule may fire after the answer.
    show($("requests"), keyed.slice(-SHOWN).reverse(), (one) => one.key, createRequest,
      (row, one) => set(row.querySelector(".rules"), one.rules.join(" ")));
    $("no-requests").hidden = keyed.length > 0;
    $("requests-table").parentElement.hidden = keyed.length === 0;
  }

  function draw() {
    showHead();
    showFigures();
    showInstances();
    showServices();
    showEvents();
    showRequests();
  }

  // Asking and acting

  function setLive(text, className) {
    set($("live"), text);
    $("live").className = `live ${className}`;
  }

  async function refresh() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const answer = await fetch("/__emulator/state", { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error((await answer.json()).message);
      state = await answer.json();
      draw();
      setLive(paused ? "paused" : "live", paused ? "paused" : "");
    } catch {
      setLive("the emulator does not answer", "lost");
    }
    clearTimeout(timer);
    if (!paused) timer = setTimeout(refresh, INTERVAL);
  }

  function say(text, error = false) {
    clearTimeout(saidTimer);
    set($("said"), text);
    $("said").classList.toggle("error", error);
    saidTimer = setTimeout(() => set($("said"), ""), error ? 15000 : 5000);
  }

  async function act(action, instance) {
    if (action === "deploy") say("The project is rebuilt and restarted …");
    try {
      const answer = await fetch("/__emulator/act", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Leapcell-Emulator": "1" },
        body: JSON.stringify({ action, instance }),
      });
      const { message, hint } = await answer.json();
      say([message, hint].filter(Boolean).join(" "), !answer.ok);
    } catch {
      say("The emulator does not answer.", true);
    }
    refresh();
  }

  function setPaused(value) {
    paused = value;
    $("pause").setAttribute("aria-pressed", String(paused));
    set($("pause").firstChild, paused ? "Go on " : "Pause ");
    refresh();
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("button[data-action]");
    const given = button?.dataset.target ?? button?.dataset.timer;
    if (button) act(button.dataset.action, given ?? button.closest("[data-instance]")?.dataset.instance);
  });
  $("pause").addEventListener("click", () => setPaused(!paused));
  $("quiet-events").addEventListener("change", () => state && showEvents());
  document.addEventListener("toggle", ({ target }) => {
    if (target.open && state && target.closest("[data-instance]")) showInstances();
  }, true);
  document.addEventListener("visibilitychange", refresh);

  const KEYS = { f: "[data-action=freeze], [data-action=thaw]", w: "[data-action=wipe]", s: "[data-action=sleep]", k: "[data-action=kill]" };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("input, dialog")) return;
    const card = document.activeElement?.closest?.("[data-instance]");
    const press = (selector, place) => {
      const button = place?.querySelector(selector);
      if (!button || button.hidden || button.disabled) return;
      event.preventDefault();
      button.click();
    };
    if (event.key in KEYS) press(KEYS[event.key], card);
    else if (event.key === "d") press("[data-action=deploy]", document);
    else if (event.key === "t") press("[data-action=deliver-twice]", document);
    else if (event.key === "p") press("#pause", document);
    else if (event.key === "z") press("[data-action=sleep-all]", document);
    else if (event.key === "Escape") set($("said"), "");
    else if (/^[1-9]$/.test(event.key)) $("instances").children[event.key - 1]?.focus();
  });

  // For looks.js, which asks about what is shown here.
  window.emulator = { act, state: () => state };

  refresh();
})();
