// Links that hold the form of the page Decide in their fragment, which browsers do not send to servers.
(function () {
  "use strict";
  const form = document.getElementById("decide-form");
  if (!form) return;
  const share = document.getElementById("share");
  const shared = document.getElementById("shared");

  function encoded() {
    const fields = {};
    for (const [name, value] of new FormData(form)) if (value) fields[name] = value;
    const bytes = new TextEncoder().encode(JSON.stringify(fields));
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function restore(text) {
    let fields;
    try {
      const bytes = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
      fields = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
      shared.textContent = "The link is damaged.";
      return;
    }
    for (const element of form.elements) {
      if (!element.name) continue;
      const value = Object.hasOwn(fields, element.name) ? fields[element.name] : "";
      if (typeof value === "string") element.value = value || (element.name === "mode" ? "lenient" : "");
      const details = element.closest("details");
      if (details) details.open = Boolean(value) || element.name === "identity";
    }
  }

  share.hidden = false;
  share.addEventListener("click", async function () {
    const url = new URL(location.href);
    url.pathname = url.pathname.replace(/decide$/, "");
    url.hash = encoded();
    history.replaceState(null, "", url.pathname + url.hash);
    try {
      await navigator.clipboard.writeText(url.href);
      shared.textContent = "Copied.";
    } catch (error) {
      shared.textContent = "The link is in the address bar.";
    }
  });
  if (location.hash.length > 1) restore(location.hash.slice(1));
})();
