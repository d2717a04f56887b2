// Passkeys: a form with data-passkey="get" or "create" asks the browser for one, and sends its answer as `credential`.
"use strict";

(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace(/=+$/, "");

  const withBytes = (list) => (list ?? []).map((each) => ({ ...each, id: bytes(each.id) }));

  const ask = async (kind, options) => {
    options.challenge = bytes(options.challenge);
    if (kind === "get") {
      options.allowCredentials = withBytes(options.allowCredentials);
      return navigator.credentials.get({ publicKey: options });
    }
    options.user.id = bytes(options.user.id);
    options.excludeCredentials = withBytes(options.excludeCredentials);
    return navigator.credentials.create({ publicKey: options });
  };

  const describe = ({ id, rawId, type, response }) => {
    const answer = { clientDataJSON: text(response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"])
      if (response[name]) answer[name] = text(response[name]);
    return JSON.stringify({ id, rawId: text(rawId), type, response: answer });
  };

  const send = async (form) => {
    const token = form.querySelector("[name=csrf_token]").value;
    const answer = await fetch(form.dataset.options, {
      method: "POST",
      headers: { "X-CSRF-Token": token, Accept: "application/json" },
    });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    form.elements.credential.value = describe(await ask(form.dataset.passkey, await answer.json()));
    form.submit();
  };

  if (!window.PublicKeyCredential) return;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const message = form.querySelector("[data-passkey-error]");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      message.hidden = true;
      send(form).catch(() => {
        message.hidden = false;
      });
    });
    form.hidden = false;
  }
  for (const missing of document.querySelectorAll("[data-passkey-missing]")) missing.hidden = true;
})();
