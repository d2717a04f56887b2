// The chat: sends questions, reads the stream of the answer, and keeps the conversation for as long as the page lives.
"use strict";

const HISTORY_BUDGET = 12_000; // characters
const NEAR_THE_END = 80; // pixels: whoever reads further up is not pulled down by what arrives

class AnswerProblem extends Error {
  constructor(text, { signedOut = false } = {}) {
    super(text);
    this.signedOut = signedOut;
  }
}

// The events of a text/event-stream as {name, data}. (EventSource can only GET.)
async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split(/\r?\n\r?\n/);
    buffer = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s, 2)));
      if (fields.data) yield { name: fields.event ?? "message", data: JSON.parse(fields.data) };
    }
  }
}

// The last turns that fit: the server reads no more of them, and takes no request over 64 KiB.
function recent(turns) {
  let room = HISTORY_BUDGET;
  const first = turns.findLastIndex((turn) => (room -= turn.content.length) < 0);
  return turns.slice(first + 1);
}

async function openStream(message, history, signal) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  const token = document.querySelector("meta[name=csrf-token]")?.content;
  if (token) headers["X-CSRF-Token"] = token;
  const body = JSON.stringify({ message, history });
  const response = await fetch("/api/chat/stream", { method: "POST", headers, body, signal });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const text = typeof problem.detail === "string" ? problem.detail : `The server answered with status ${response.status}.`;
  throw new AnswerProblem(problem.error ?? text, { signedOut: response.status === 401 });
}

document.addEventListener("alpine:init", () => {
  // Alpine's CSP build has no x-html. What comes here was made and sanitised by the server.
  Alpine.directive("answer", (element, { expression }, { evaluateLater, effect }) => {
    const html = evaluateLater(expression);
    effect(() => html((value) => (element.innerHTML = value)));
  });

  Alpine.data("chat", () => ({
    messages: [],
    draft: "",
    announcement: "",
    busy: false,
    controller: null,
    following: true,
    nextId: 1,
    page: null,

    // Alpine's $root and $refs are those of the button that was pressed, which may be gone by the time of an answer.
    init() {
      this.page = { root: this.$root, log: this.$root.querySelector("[data-log]"), draft: this.$root.querySelector("textarea") };
    },

    get isEmpty() {
      return this.messages.length === 0;
    },

    get isBlank() {
      return this.draft.trim() === "";
    },

    isLast(message) {
      return !this.busy && message.id === this.messages.at(-1)?.id;
    },

    submit() {
      if (this.isBlank || this.busy) return;
      const text = this.draft;
      this.draft = "";
      this.ask(text);
    },

    sendOnEnter(event) {
      if (event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    },

    askThis(event) {
      this.ask(event.currentTarget.dataset.question);
    },

    retry() {
      this.messages.pop();
      const question = this.messages.pop();
      this.ask(question.text);
    },

    stop() {
      this.controller?.abort();
    },

    startOver() {
      this.stop();
      this.messages = [];
      this.announcement = "";
      this.page.draft.focus();
    },

    async copy(message) {
      await navigator.clipboard.writeText(message.text);
      this.announcement = "Copied.";
    },

    async ask(text) {
      const history = this.history();
      this.add({ mine: true, text });
      const answer = this.add({ mine: false, text: "", html: "", waiting: true, over: false, problem: "", signedOut: false, note: "" });
      const controller = new AbortController();
      const started = performance.now();
      this.controller = controller;
      this.busy = true;
      this.following = true;
      this.announcement = "The assistant is answering.";
      this.page.draft.focus({ preventScroll: true });
      let outcome = "";
      try {
        await this.receive(answer, await openStream(text, history, controller.signal));
      } catch (error) {
        if (error.name === "AbortError") outcome = "stopped";
        else {
          outcome = "failed";
          answer.signedOut = Boolean(error.signedOut);
          answer.problem = error instanceof AnswerProblem ? error.message : "The connection broke. Check it, and ask again.";
        }
      }
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      answer.waiting = false;
      answer.over = true;
      answer.note = [this.page.root.dataset.model, `${seconds} s`, outcome].filter(Boolean).join(" · ");
      if (this.controller === controller) {
        this.busy = false;
        this.announcement = answer.problem || (outcome ? "Stopped." : answer.text);
        this.scroll();
      }
    },

    async receive(answer, response) {
      for await (const { name, data } of readEvents(response)) {
        if (name === "complete") return;
        if (name === "error") throw new AnswerProblem(data.error);
        answer.waiting = false;
        answer.text = data.raw_content;
        answer.html = data.content;
        this.scroll();
      }
      throw new AnswerProblem("The answer broke off. Ask again.");
    },

    // What was said so far, without questions that got no answer.
    history() {
      const turns = [];
      for (let index = 0; index + 1 < this.messages.length; index += 2) {
        const [question, answer] = this.messages.slice(index, index + 2);
        if (!answer.text.trim()) continue;
        turns.push({ role: "user", content: question.text }, { role: "assistant", content: answer.text });
      }
      return recent(turns.slice(-Number(this.page.root.dataset.maxHistory)));
    },

    add(message) {
      this.messages.push({ id: this.nextId++, ...message });
      this.scroll();
      return this.messages.at(-1);
    },

    noteScroll() {
      const { scrollHeight, scrollTop, clientHeight } = this.page.log;
      this.following = scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
    },

    scroll() {
      if (!this.following) return;
      const { log } = this.page;
      // Alpine shows elements in a timer of its own, after its next tick.
      this.$nextTick(() => setTimeout(() => (log.scrollTop = log.scrollHeight)));
    },
  }));
});
