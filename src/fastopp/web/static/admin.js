// What the admin needs beyond SQLAdmin's own script: the site's dialog, filters that fold away, lists that scroll.
"use strict";

// --- Deleting ----------------------------------------------------------------------------------

const dialog = document.getElementById("modal-delete");

function askToDelete(opener) {
  let url = opener.dataset.url;
  let what = opener.dataset.name;
  let count = 1;
  if (opener.id === "action-delete") {
    const keys = [...document.querySelectorAll(".select-box:checked")].map((box) => box.previousElementSibling.value);
    count = keys.length;
    what = `${count} selected ${count === 1 ? "row" : "rows"}`;
    url += `?pks=${keys.join(",")}`;
  } else {
    const cells = [...(opener.closest("tr")?.cells ?? [])].slice(2);
    const title = cells.map((cell) => cell.innerText.trim()).find(Boolean); // a photo has no text
    what += ` “${title || opener.dataset.pk}”`;
  }
  document.getElementById("modal-delete-title").textContent = count ? `Delete ${what}?` : "Nothing is selected";
  document.getElementById("modal-delete-text").textContent = count
    ? "This cannot be undone."
    : "Select rows by their boxes first.";
  const button = document.getElementById("modal-delete-button");
  button.hidden = !count;
  button.dataset.url = url;
  dialog.showModal();
}

async function remove(url) {
  const answer = await fetch(url, { method: "DELETE", headers: { Accept: "text/html" } });
  const text = await answer.text();
  if (answer.ok) {
    location.href = text; // SQLAdmin answers with the address of the list
  } else {
    document.open();
    document.write(text); // a page that says why not
    document.close();
  }
}

// On the window, before SQLAdmin's script, which would open a dialog of Bootstrap's and delete by itself.
window.addEventListener(
  "click",
  (event) => {
    const opener = event.target.closest?.("[data-bs-target='#modal-delete']");
    const button = event.target.closest?.("#modal-delete-button");
    if (!opener && !button) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (opener) askToDelete(opener);
    else remove(button.dataset.url);
  },
  true,
);

// --- Lists -------------------------------------------------------------------------------------

document.getElementById("search-reset")?.setAttribute("aria-label", "Clear the search");

function foldFilters(column) {
  const folded = document.createElement("details");
  folded.className = "filters";
  const chosen = column.querySelectorAll("[title='Clear filter'], .small.text-muted").length;
  const summary = document.createElement("summary");
  summary.className = "btn";
  summary.textContent = chosen ? `Filters (${chosen})` : "Filters";
  folded.open = chosen > 0;
  folded.append(summary, column.querySelector("#filter-sidebar .card-body"));
  folded.lastElementChild.className = "filter-groups";
  document.querySelector(".card-header + .card-body > .d-flex > .dropdown").after(folded);
  column.remove();
}

function hintAtScrolling(box) {
  const hint = document.createElement("p");
  hint.className = "scroll-hint";
  hint.textContent = "Scroll sideways for more columns";
  box.after(hint);
  const show = () => {
    const more = box.scrollWidth > box.clientWidth;
    hint.hidden = !more;
    // A box that scrolls is reached by keyboard.
    if (more) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Table");
  new ResizeObserver(show).observe(box);
  show();
}

const filters = document.querySelector(".filter-sidebar-col");
if (filters) foldFilters(filters);
document.querySelectorAll(".table-responsive").forEach(hintAtScrolling);

// Icons have no text of their own.
for (const link of document.querySelectorAll("td.text-end > a")) {
  const title = link.title || link.dataset.bsOriginalTitle || link.querySelector("[title]")?.title || "Delete";
  link.setAttribute("aria-label", title);
}
