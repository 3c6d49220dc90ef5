// Only comforts: a page says the same without them.
(() => {
  "use strict";
  // Behind a proxy only the browser knows under which address this index is seen.
  const seen = new URL(document.documentElement.dataset.root, location.href).href.replace(/\/$/, "");
  for (const code of document.querySelectorAll("[data-address]")) {
    code.textContent = code.textContent.replaceAll(code.dataset.address, seen);
  }
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const source = document.getElementById(button.dataset.copies);
    const word = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = word; }, 1500);
    });
  }
})();
