"use strict";
// The tutor line by line: what it prints is text in a live region, and each line is sent numbered, as keys are elsewhere.
const at = (id) => document.getElementById(id);
const page = Array.from(crypto.getRandomValues(new Uint8Array(8)), (each) => each.toString(16).padStart(2, "0")).join("");
const decoder = new TextDecoder();
const typed = [];
let socket = null;
let session = "";
let sent = 0;
let waiting = [];
let rest = "";
let over = false;
let attempts = 0;

function say(text) {
  at("cover").textContent = text;
  at("cover").hidden = !text;
}

function tell(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function send(data) {
  if (over) return;
  const message = {i: ++sent, d: data};
  waiting.push(message);
  tell(message);
}

function print(text) {
  const rows = (rest + text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/[\x00-\x09\x0b-\x1f\x7f]/g, "")).split("\n");
  rest = rows.pop();
  for (const row of rows) {
    const line = document.createElement("div");
    line.textContent = row || "\u00a0";
    at("log").append(line);
  }
  while (at("log").childElementCount > 3000) at("log").firstChild.remove();
  at("prompt").textContent = rest.trim() || "Line";
  if (rows.length) at("log").scrollTop = at("log").scrollHeight;
}

function hear(message) {
  if ("got" in message) waiting = waiting.filter((each) => each.i > message.got);
  if ("hello" in message) {
    if (session && session !== message.hello) {
      const lost = waiting.map((each) => each.d.replace("\r", "")).join("; ");
      sent = 0;
      waiting = [];
      say(lost ? `The hub was started again. This was not taken: ${lost}` : "");
    } else {
      say("");
    }
    session = message.hello;
    at("name").textContent = message.name;
    at("log").replaceChildren();  // all of it comes again
    rest = "";
    for (const each of waiting) tell(each);
  }
  if ("saved" in message && message.saved) {
    const when = new Date(message.saved * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
    at("saved").textContent = `saved by the hub ${when}`;
  }
  if (message.trouble) at("saved").textContent = "not saved by the hub yet";
  if ("looked_at" in message) at("looked").hidden = !message.looked_at;
  if ("question" in message) ask(message.question);
  if ("stopped" in message || "signed_out" in message || "refused" in message || ("ended" in message && !over)) {
    over = true;
    say(message.stopped || message.signed_out || message.refused || "The tutor has ended.");
    const again = document.createElement("a");
    again.href = message.signed_out ? "/" : "/plain";
    again.textContent = message.signed_out ? "Join again" : "Open it again";
    at("cover").append(" ", again);
  }
}

function ask(question) {
  at("question").hidden = !question;
  if (!question) return;
  at("asked").textContent = question.text;
  at("options").replaceChildren(...question.options.map((text, option) => {
    const button = document.createElement("button");
    button.textContent = text + (question.counts ? `: ${question.counts[option]}` : "");
    button.setAttribute("aria-pressed", String(question.answer === text));
    button.disabled = Boolean(question.counts);
    button.addEventListener("click", () => tell({question: question.id, option}));
    return button;
  }));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const made = socket = new WebSocket(`${scheme}//${location.host}/plain/socket`);
  let opened = false;
  made.binaryType = "arraybuffer";
  made.onopen = () => {
    opened = true;
    attempts = 0;
    tell({page, size: [120, 40]});
  };
  made.onmessage = (event) => {
    if (typeof event.data === "string") hear(JSON.parse(event.data));
    else print(decoder.decode(event.data, {stream: true}));
  };
  made.onclose = async () => {
    if (over) return;
    say("The connection is lost. What you send is taken when it is back, unless the hub has to be started again.");
    if (!opened) {
      const answer = await fetch("/plain/socket").catch(() => null);
      if (answer && answer.status === 401) {
        hear({signed_out: "You are no longer signed in to the class."});
        return;
      }
    }
    attempts += 1;
    setTimeout(connect, Math.min(5000, 250 * 2 ** attempts));
  };
}

let back = 0;
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const line = at("line").value;
  if (line) typed.push(line);
  back = typed.length;
  at("line").value = "";
  send(`${line}\r`);
});
at("line").addEventListener("keydown", (event) => {
  if (event.key === "c" && event.ctrlKey && at("line").selectionStart === at("line").selectionEnd) send("\x03");
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
  back = Math.max(0, Math.min(typed.length, back + (event.key === "ArrowUp" ? -1 : 1)));
  at("line").value = typed[back] || "";
  event.preventDefault();
});
at("stop").addEventListener("click", () => send("\x03"));
at("help").addEventListener("click", () => {
  tell({help: true});
  say("The teacher sees that you ask for help.");
});
at("leave").addEventListener("click", async () => {
  over = true;
  await fetch("/leave", {method: "POST"});
  location.assign("/");
});
connect();
