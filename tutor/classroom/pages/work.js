"use strict";
const at = (id) => document.getElementById(id);
const terminal = new ClassTerminal(at("terminal"), "/socket", true);
window.terminal = terminal;
let saved = 0;
let unsaved = 0;
let trouble = false;

function cover(text) {
  at("cover").textContent = text;
  at("cover").hidden = !text;
}

function showSaved() {
  const now = Date.now() / 1000;
  if (unsaved || trouble) {
    const minutes = Math.floor((now - (unsaved || saved || now)) / 60);
    at("saved").textContent = minutes ? `not saved by the hub for ${minutes} min` : "not saved by the hub yet";
  } else if (saved) {
    at("saved").textContent = `saved by the hub ${new Date(saved * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"})}`;
  }
  at("saved").classList.toggle("warning", Boolean(unsaved) || trouble);
}

terminal.on.cover = (text) => {
  cover(text);
  unsaved = text ? Date.now() / 1000 : 0;
  showSaved();
};
terminal.on.name = (name) => { at("name").textContent = name; };
terminal.on.hello = () => {
  terminal.term.focus();
};
terminal.on.saved = (when) => {
  saved = when;
  showSaved();
};
terminal.on.trouble = (is) => {
  trouble = is;
  showSaved();
};
terminal.on.looked_at = (is) => { at("looked").hidden = !is; };
// The hub was started again meanwhile: on the screen that it shows now, the keys would mean something else.
let told = false;
terminal.on.dropped = (text) => {
  if (!text) return;
  cover(`The hub was started again, and your tutor with it. What you had typed was not taken: ${text}`);
  told = true;
};
terminal.on.typed = () => {
  if (told) cover("");
  told = false;
};
terminal.on.signed_out = (why) => {
  cover(`${why} `);
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = "Join again";
  at("cover").append(link);
  unsaved = 0;
  showSaved();
};
let closed = "";  // why the hub has ended the tutor, told before its end
terminal.on.ended = () => closed ? (closed = "") : cover("The tutor has ended. Press Enter to open it again: it resumes where it was.");
terminal.on.stopped = (why) => {
  closed = why;
  cover(`${why} Press Enter to resume.`);
};
terminal.on.refused = (why) => {
  terminal.ended = true;
  cover(`${why} Press Enter to try again.`);
};
setInterval(showSaved, 20000);

const KEYS = [
  ["Esc", "\x1b"], ["Tab", "\t"], ["F1 help", "\x1bOP"], ["F2 hint", "\x1bOQ"], ["F3 show", "\x1bOR"], ["F4 undo", "\x1bOS"],
  ["F5 reset", "\x1b[15~"], ["F8 next", "\x1b[19~"], ["F12", "\x1b[24~"], ["Ctrl+P", "\x10"], ["Ctrl+R", "\x12"], ["Ctrl+C", "\x03"],
  ["↑", "\x1b[A"], ["↓", "\x1b[B"], ["←", "\x1b[D"], ["→", "\x1b[C"], ["PgUp", "\x1b[5~"], ["PgDn", "\x1b[6~"],
];
for (const [label, data] of KEYS) {
  const button = document.createElement("button");
  button.textContent = label;
  button.addEventListener("click", () => {
    terminal.type(data);
    terminal.term.focus();
  });
  at("keys").append(button);
}
at("keys-button").addEventListener("click", () => {
  at("keys").hidden = !at("keys").hidden;
  at("keys-button").setAttribute("aria-expanded", String(!at("keys").hidden));
  terminal.resize();
  terminal.term.focus();
});
if (matchMedia("(pointer: coarse)").matches) at("keys").hidden = false;
at("help").addEventListener("click", () => {
  terminal.type("\x1b[20~");
  terminal.term.focus();
});
at("leave").addEventListener("click", async () => {
  await fetch("/leave", {method: "POST"});
  location.assign("/");
});

// The teacher's question: its answers are counted on the board.
terminal.on.question = (question) => {
  at("question").hidden = !question;
  if (!question) return;
  at("asked").textContent = question.text;
  at("options").replaceChildren(...question.options.map((text, option) => {
    const button = document.createElement("button");
    const mine = question.answer === text;
    button.textContent = (mine ? "\u2713 " : "") + text + (question.counts ? `: ${question.counts[option]}` : "");
    button.setAttribute("aria-pressed", String(mine));
    button.disabled = Boolean(question.counts);
    button.addEventListener("click", () => {
      terminal.tell({question: question.id, option});
      terminal.term.focus();
    });
    return button;
  }));
  terminal.resize();
};

// The teacher's screen, while it is shown to all; the learner's own goes on behind it.
let shown = null;
function follow(is) {
  if (is && !shown) {
    at("follow").hidden = false;
    shown = new ClassTerminal(at("follow"), "/follow", false);
    shown.on.ended = () => follow(false);
    shown.on.refused = () => follow(false);
    window.followed = shown;
  } else if (!is && shown) {
    shown.close();
    shown = null;
    at("follow").replaceChildren();
  }
  at("follow").hidden = at("follow-bar").hidden = !shown;
  at("terminal").hidden = Boolean(shown);
  if (!shown) {
    terminal.resize();
    terminal.term.focus();
  }
}
terminal.on.follow = (is) => {
  at("follow-button").hidden = !is;
  follow(is);
};
at("own-screen").addEventListener("click", () => follow(false));
at("follow-button").addEventListener("click", () => follow(true));
