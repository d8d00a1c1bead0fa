// Dark or light: as the system says, until the visitor says otherwise.

const system = matchMedia("(prefers-color-scheme: dark)");

function remembered() {
  try { return localStorage.getItem("inpaintlab-theme"); } catch { return null; }
}

function apply() {
  document.documentElement.dataset.theme = remembered() ?? (system.matches ? "dark" : "light");
}

export function themed(button) {
  apply();
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("inpaintlab-theme", next); } catch { /* then for this visit */ }
    document.documentElement.dataset.theme = next;
  });
}
