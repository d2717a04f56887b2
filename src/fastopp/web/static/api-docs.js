// Starts Swagger UI on /docs. Requests carry the CSRF token, as those of any other page.
"use strict";

const place = document.getElementById("api-docs");
const csrfToken = document.querySelector("meta[name=csrf-token]")?.content;

// Swagger UI writes the path of an operation as a link within a button, which screen readers cannot use.
const pathIsText = (system) => ({
  components: { DeepLink: ({ text }) => system.React.createElement("span", null, text) },
});

SwaggerUIBundle({
  url: place.dataset.openapiUrl,
  domNode: place,
  deepLinking: true,
  plugins: [pathIsText],
  presets: [SwaggerUIBundle.presets.apis],
  requestInterceptor(request) {
    if (csrfToken) request.headers["X-CSRF-Token"] = csrfToken;
    return request;
  },
});
