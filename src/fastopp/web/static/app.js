// What every page needs beyond HTML: menus that close, dialogs, the theme, and htmx's errors.
"use strict";

// --- Theme -------------------------------------------------------------------------------------

const root = document.documentElement;

function showTheme() {
  const chosen = root.dataset.theme ?? "system";
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-checked", String(button.dataset.themeChoice === chosen));
  }
}

function chooseTheme(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
  showTheme();
}

// --- Menus and dialogs -------------------------------------------------------------------------

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (menu !== except) menu.open = false;
  }
}

async function copy(button) {
  const text = button.closest("[data-copy]").querySelector("[data-copy-text]").textContent;
  await navigator.clipboard.writeText(text);
  button.setAttribute("aria-label", "Copied");
  button.classList.add("text-success");
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  closeMenus(at("details[data-menu]"));

  const theme = at("[data-theme-choice]");
  if (theme) {
    chooseTheme(theme.dataset.themeChoice);
    closeMenus();
  }
  const opener = at("[data-dialog-open]");
  if (opener) document.getElementById(opener.dataset.dialogOpen)?.showModal();
  if (at("[data-dialog-close]")) at("dialog")?.close();
  if (at("[data-dismiss]")) at("[data-alert]")?.remove();
  if (at("[data-reload]")) location.reload();
  if (at("[data-copy-button]")) copy(at("[data-copy-button]"));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.activeElement?.closest("details[data-menu][open]");
  closeMenus();
  menu?.querySelector("summary").focus();
});

// A photo that is gone (a serverless disk forgets) uncovers the initials behind it.
document.addEventListener(
  "error",
  (event) => {
    if (event.target.matches?.("img[data-hide-on-error]")) event.target.hidden = true;
  },
  true,
);
for (const image of document.querySelectorAll("img[data-hide-on-error]")) {
  if (image.complete && !image.naturalWidth) image.hidden = true; // it failed before this script ran
}

// A form that must not be sent by accident: <form data-confirm="Really delete it?">. (htmx has hx-confirm.)
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// --- htmx --------------------------------------------------------------------------------------

const { nonce } = document.currentScript;

function showProblem(text) {
  const template = document.getElementById("problem-template");
  const alert = template.content.cloneNode(true);
  alert.querySelector("[data-text]").textContent = text;
  document.getElementById("alerts").replaceChildren(alert);
}

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector("meta[name=csrf-token]")?.content;
  if (token) event.detail.headers["X-CSRF-Token"] = token;
  if (nonce) event.detail.headers["X-CSP-Nonce"] = nonce; // so that scripts in the answer carry it and may run
});

// What a page asks for by itself, now and then, takes no message away before somebody has read it.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.triggeringEvent?.isTrusted) document.getElementById("alerts").replaceChildren();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  // Our own error answers say where they belong (HX-Retarget), and 422 is a form with its mistakes marked.
  // Anything else is a page of some proxy, which must not land in the middle of ours.
  const { xhr } = event.detail;
  if (xhr.status < 400 || xhr.status === 422 || xhr.getResponseHeader("HX-Retarget")) return;
  event.detail.shouldSwap = false;
  showProblem(`The server answered with status ${xhr.status}. Try again in a moment.`);
});

document.addEventListener("htmx:sendError", () => showProblem("The server cannot be reached. Check your connection."));
document.addEventListener("htmx:timeout", () => showProblem("The server took too long to answer. Try again."));

showTheme();
