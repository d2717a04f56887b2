// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system's applies.
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // Storage is switched off: the system's theme it is.
  }

  // Our own CSS needs no more; Swagger UI (/docs) looks for this class, SQLAdmin (/admin) for this attribute.
  const follow = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.classList.toggle("dark-mode", dark);
    root.dataset.bsTheme = dark ? "dark" : "light";
  };
  new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
  system.addEventListener("change", follow);
  follow();
}
