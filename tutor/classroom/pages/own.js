"use strict";
// The teacher's own tutor, which can be shown to all.
const at = (id) => document.getElementById(id);
const terminal = new ClassTerminal(at("terminal"), "/board/socket", true);
window.terminal = terminal;
let following = false;

function cover(text) {
  at("cover").textContent = text;
  at("cover").hidden = !text;
}
terminal.on.cover = cover;
terminal.on.signed_out = () => cover("This browser has been signed out as the teacher's. `redis-tutor class link` prints a new link.");
terminal.on.hello = () => terminal.term.focus();
let closed = "";
terminal.on.stopped = (why) => {
  closed = why;
  cover(`${why} Press Enter to resume.`);
};
terminal.on.ended = () => closed ? (closed = "") : cover("The tutor has ended. Press Enter to open it again.");
terminal.on.refused = (why) => {
  terminal.ended = true;
  cover(`${why} Press Enter to try again.`);
};

const source = new EventSource("/board/events");
source.onmessage = (event) => {
  following = JSON.parse(event.data).following;
  at("show").textContent = following ? "Stop showing" : "Show this to all";
  at("shown").textContent = following ? "All learners see this screen." : "Only you see this screen.";
};
at("show").addEventListener("click", async () => {
  await fetch("/board/do", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({action: "follow", on: !following}),
  });
  terminal.term.focus();
});
