// A button with data-copy copies the text that stands before it; data-copied is what it says once that is done.
(() => {
  "use strict";
  const SAID_MS = 2000;

  // Without the clipboard's permission, as in a frame or on http: the way browsers had before, by the selection.
  function selected(text) {
    const range = document.createRange();
    range.selectNodeContents(text);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    const text = button?.previousElementSibling;
    if (!text) return;
    const copied = await (navigator.clipboard?.writeText(text.textContent).then(() => true) ?? Promise.reject())
      .catch(() => selected(text));
    if (!copied) return;
    const before = button.dataset.says ?? (button.dataset.says = button.textContent);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = before), SAID_MS);
  });
})();
