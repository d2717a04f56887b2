// Starts Swagger UI on /docs. Requests carry the CSRF token, as those of any other page.
"use strict";

const place = document.getElementById("api-docs");
const csrfToken = document.querySelector("meta[name=csrf-token]")?.content;

SwaggerUIBundle({
  url: place.dataset.openapiUrl,
  domNode: place,
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  requestInterceptor(request) {
    if (csrfToken) request.headers["X-CSRF-Token"] = csrfToken;
    return request;
  },
});
