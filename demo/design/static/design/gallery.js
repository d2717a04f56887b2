// The gallery: which picture is shown large, and its closer look.
"use strict";

document.addEventListener("alpine:init", () => {
  Alpine.data("gallery", () => ({
    title: "",
    slug: "",
    url: "",

    init() {
      this.show(this.$root);
    },

    show(element) {
      ({ title: this.title, slug: this.slug, url: this.url } = element.dataset);
    },

    choose(event) {
      this.show(event.currentTarget);
    },

    isChosen() {
      return String(this.$el.dataset.slug === this.slug);
    },

    async look() {
      await htmx.ajax("GET", `/design-demo/pictures/${this.slug}`, { target: "#picture-body", swap: "innerHTML" });
      document.getElementById("picture-dialog").showModal();
    },
  }));
});
