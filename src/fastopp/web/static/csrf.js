// Sends the CSRF token with what a page's own scripts send: for pages that do not extend base.html.
"use strict";

(() => {
  const HEADER = "X-CSRF-Token";
  const SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"];
  const token = () => document.querySelector("meta[name=csrf-token]")?.content;
  const needed = (method, url) =>
    token() && !SAFE.includes(method.toUpperCase()) && new URL(url, location.href).origin === location.origin;

  const fetchWithout = window.fetch;
  window.fetch = (resource, options = {}) => {
    const request = resource instanceof Request ? resource : null;
    const method = options.method ?? request?.method ?? "GET";
    if (needed(method, request?.url ?? String(resource))) {
      const headers = new Headers(options.headers ?? request?.headers);
      if (!headers.has(HEADER)) headers.set(HEADER, token());
      options = { ...options, headers };
    }
    return fetchWithout.call(window, resource, options);
  };

  const { open, send, setRequestHeader } = XMLHttpRequest.prototype;
  const unsafe = new WeakSet();
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    if (needed(method, url)) unsafe.add(this);
    else unsafe.delete(this);
    return open.call(this, method, url, ...rest);
  };
  XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
    if (name.toLowerCase() === HEADER.toLowerCase()) unsafe.delete(this);
    return setRequestHeader.call(this, name, value);
  };
  XMLHttpRequest.prototype.send = function (body) {
    if (unsafe.has(this)) this.setRequestHeader(HEADER, token());
    return send.call(this, body);
  };
})();
