// The dialog of the registrants' page: opened by what htmx loads into it, closed by what was saved; and the photo form.
"use strict";

const dialog = document.getElementById("dialog");

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "dialog-body" || dialog.open) return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) menu.open = false;
  dialog.showModal();
});

document.body.addEventListener("dialog-done", () => dialog.close());

dialog.addEventListener("close", () => document.getElementById("dialog-body").replaceChildren());

// An error of a form in the dialog is shown there; the page's own place for messages is behind it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  const result = requestConfig.elt.closest("dialog[open]")?.querySelector("[data-dialog-result]");
  if (xhr.status < 400 || !result) return;
  if (!xhr.getResponseHeader("HX-Retarget")) {
    result.textContent = `The server answered with status ${xhr.status}. Try again in a moment.`;
    event.detail.shouldSwap = false;
    return;
  }
  event.detail.target = result;
  event.detail.swapOverride = "innerHTML";
});

// --- Photo form ----------------------------------------------------------------------------------

const TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"];

function showChoice(form) {
  const input = form.querySelector("input[type=file]");
  const preview = form.querySelector("[data-preview]");
  const file = input.files[0];
  const limit = Number(form.dataset.maxBytes);
  let problem = "";
  if (file && !TYPES.includes(file.type)) problem = "The file is no JPEG, PNG, WebP or GIF picture.";
  else if (file && file.size > limit) problem = `The picture has ${(file.size / 2 ** 20).toFixed(1)} MiB; ${limit / 2 ** 20} are allowed.`;
  input.setCustomValidity(problem);
  form.querySelector("[data-dialog-result]").textContent = problem;
  form.querySelector("button[type=submit]").disabled = Boolean(problem);
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.hidden = !file || Boolean(problem);
  if (!preview.hidden) preview.src = URL.createObjectURL(file);
  if (file) form.querySelector("[data-file-note]").textContent = file.name;
}

dialog.addEventListener("change", (event) => {
  const form = event.target.closest("[data-photo-form]");
  if (form) showChoice(form);
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  dialog.addEventListener(kind, (event) => {
    const area = event.target.closest("[data-drop]");
    if (!area) return;
    event.preventDefault();
    area.toggleAttribute("data-dragging", kind === "dragover");
    if (kind !== "drop" || !event.dataTransfer.files.length) return;
    area.querySelector("input[type=file]").files = event.dataTransfer.files;
    showChoice(area.closest("form"));
  });
}
