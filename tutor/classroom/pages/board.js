"use strict";
const at = (id) => document.getElementById(id);
const SIGNS = {d: ["●", "done"], h: ["◉", "here"], p: ["◐", "partly done"], s: ["○", "not done"], "-": ["", "not reached"]};
let contents = {class: "", lessons: []};
let names = {};
let shown = false;  // whether names are
let digest = null;
let chosen = null;  // the learner whose dialog is open
let receivers = null;
let source = null;

async function request(path, body) {
  const answer = await fetch(path, body === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) {
    alert(said.problem);
    return null;
  }
  return said;
}

function element(tag, text, classes) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

function nameOf(id) {
  return shown && names[id] ? names[id] : `Learner ${id}`;
}

function lessonOf(key) {
  return contents.lessons.find((each) => each.key === key);
}

function drawGrid() {
  const lesson = lessonOf(digest.lesson);
  const head = element("tr");
  for (const text of ["Learner", "State", ""]) head.append(element("th", text));
  (lesson ? lesson.steps : []).forEach((title, step) => {
    const cell = element("th", String(step + 1));
    cell.title = title;
    head.append(cell);
  });
  at("grid").tHead.replaceChildren(head);
  const focused = document.activeElement && document.activeElement.dataset.learner;
  const rows = digest.learners.map((learner) => {
    const row = element("tr");
    const who = element("td");
    const button = element("button", nameOf(learner.id));
    button.dataset.learner = learner.id;
    button.addEventListener("click", () => openLearner(learner.id));
    who.append(button);
    const state = element("td", learner.state, `state-${learner.state}`);
    const where = learner.lesson && learner.lesson !== digest.lesson ? (lessonOf(learner.lesson) || {}).title || "" : "";
    const minutes = learner.minutes === null || !["help", "stuck", "working"].includes(learner.state) ? "" : `${learner.minutes} min`;
    row.append(who, state, element("td", where ? `in ${where}` : minutes, "muted"));
    for (const letter of learner.cells) {
      const [sign, word] = SIGNS[letter];
      const cell = element("td", sign, `cell ${letter}`);
      cell.title = word;
      cell.setAttribute("aria-label", word);
      row.append(cell);
    }
    return row;
  });
  at("grid").tBodies[0].replaceChildren(...rows);
  if (focused) {
    const again = document.querySelector(`[data-learner="${CSS.escape(focused)}"]`);
    if (again) again.focus();
  }
}

function drawTasks() {
  at("tasks").tBodies[0].replaceChildren(...digest.tasks.map((task) => {
    const row = element("tr");
    row.append(element("td", String(task.step + 1)), element("td", task.goal), element("td", String(task.done)),
      element("td", String(task.open)), element("td", task.seconds.map((each) => (each / 60).toFixed(1)).join(" · ")),
      element("td", String(task.attempts)), element("td", String(task.hints)), element("td", String(task.shown)));
    const mistakes = element("td");
    for (const [text, count] of task.mistakes) mistakes.append(element("div", `${count} × ${text}`));
    row.append(mistakes);
    return row;
  }));
}

function drawPredictions() {
  at("predictions").replaceChildren(...digest.predictions.map((prediction) => {
    const part = element("div");
    part.append(element("h3", `Step ${prediction.step + 1}: ${prediction.question}`));
    const histogram = histogramOf(prediction.answers, at("right").checked ? prediction.right : null);
    if (!prediction.answers.length) histogram.append(element("span", "No answers yet", "muted"));
    part.append(histogram);
    return part;
  }));
}

function drawGroups() {
  at("groups").replaceChildren(...digest.groups.map((group) => {
    const item = element("li");
    const lesson = lessonOf(group.lesson);
    item.append(element("strong", `${group.learners.length} `),
      element("span", `in ${lesson ? lesson.title : group.lesson}, step ${group.step + 1}: ${group.mistake} `));
    const button = element("button", "Send them a line");
    button.addEventListener("click", () => writeTo(group.learners, `the ${group.learners.length} of this group`));
    item.append(button);
    return item;
  }));
}

function writeTo(learners, words) {
  receivers = learners;
  at("to").textContent = words;
  at("say").focus();
}

function draw() {
  const counts = {};
  for (const {state} of digest.learners) counts[state] = (counts[state] || 0) + 1;
  at("counts").textContent = ["help", "stuck", "working", "ready", "done", "away"].filter((each) => counts[each])
    .map((each) => `${counts[each]} ${each}`).join(" · ");
  at("join").textContent = digest.code ? `${digest.address}  code ${digest.code}` : "closed for new learners";
  at("big").textContent = digest.code ? `${digest.address}  ${digest.code}` : "";
  at("open-button").textContent = digest.code ? "Close joining" : "Open joining";
  at("trouble").textContent = digest.trouble ? "The hub cannot save at the moment; it tries again." : "";
  if (at("lesson").value !== digest.lesson && !at("lesson").dataset.chosen) at("lesson").value = digest.lesson;
  drawGrid();
  drawTasks();
  drawPredictions();
  drawGroups();
  drawQuestion();
  drawStop();
  at("following").hidden = !digest.following;
  document.title = `redis-tutor: ${contents.class}`;
  if (digest.learners.some((each) => !(each.id in names))) loadNames();
}

function histogramOf(answers, right) {
  const histogram = element("div", undefined, "histogram");
  const most = Math.max(1, ...answers.map(([, count]) => count));
  for (const [text, count] of answers) {
    const bar = element("meter");
    bar.max = most;
    bar.value = count;
    bar.setAttribute("aria-label", text);
    histogram.append(element("span", text, text === right ? "right" : ""), bar, element("span", String(count)));
  }
  return histogram;
}

function drawQuestion() {
  const question = digest.question;
  at("asked-part").hidden = !question;
  at("question-part").hidden = Boolean(question);
  if (!question) return;
  at("asked").textContent = question.text;
  at("asked-answers").replaceChildren(histogramOf(question.options.map((text, number) => [text, question.counts[number]])));
  at("show-button").disabled = question.shown;
}

function drawStop() {
  const lesson = lessonOf(digest.lesson);
  const stop = digest.stops[digest.lesson];
  at("stop-button").textContent = stop === undefined ? "Stop there" : "Let all go on";
  at("stopped").textContent = stop === undefined ? "" : `Nobody goes beyond step ${stop + 1} of this lesson.`;
  at("stop-step").disabled = stop !== undefined;
  if (lesson && at("stop-step").dataset.lesson !== lesson.key) {
    at("stop-step").dataset.lesson = lesson.key;
    at("stop-step").replaceChildren(...lesson.steps.map((title, step) => {
      const option = element("option", `${step + 1} ${title}`);
      option.value = step;
      return option;
    }));
  }
}

async function loadNames() {
  const said = await request("/board/names");
  if (said) names = said.names;
  for (const {id} of digest.learners) names[id] = names[id] || "";
  if (shown) drawGrid();
}

function listen() {
  if (source) source.close();
  source = new EventSource(`/board/events?lesson=${encodeURIComponent(at("lesson").dataset.chosen || "")}`);
  source.onmessage = (event) => {
    digest = JSON.parse(event.data);
    at("lost").hidden = true;
    draw();
  };
  source.onerror = () => {
    at("lost").hidden = false;
    at("since").textContent = digest ? new Date(digest.at).toLocaleTimeString() : "";
    if (source.readyState === EventSource.CLOSED) setTimeout(again, 2000);
  };
}

async function again() {
  const answer = await fetch("/board/contents").catch(() => null);
  if (answer && answer.status === 401) signedOut();
  else listen();
}

function signedOut() {
  if (source) source.close();
  if (at("learner").open) at("learner").close();
  const said = element("p", "This board has been signed out. `redis-tutor class link` prints a new link for the teacher.", "warning");
  said.setAttribute("role", "alert");
  document.querySelector("main").replaceChildren(said);
  for (const each of document.querySelectorAll("header button, header a, #join, #counts")) each.hidden = true;
}

function openLearner(id) {
  chosen = id;
  const learner = digest.learners.find((each) => each.id === id);
  at("who").textContent = nameOf(id);
  at("about").textContent = learner.mistake ? `Told last: ${learner.mistake}` : "";
  at("look").href = `/board/look/${id}`;
  at("said").textContent = "";
  at("learner").showModal();
}

const act = (action, more) => request("/board/do", {action, learner: chosen, ...more});
at("close").addEventListener("click", () => at("learner").close());
at("helped").addEventListener("click", () => act("helped").then(() => at("learner").close()));
at("line").addEventListener("click", () => {
  at("learner").close();
  writeTo([chosen], nameOf(chosen));
});
at("rename").addEventListener("click", async () => {
  const name = prompt("The name", names[chosen] || "");
  if (name && await act("rename", {name})) await loadNames();
});
at("unbind").addEventListener("click", async () => {
  const said = await act("unbind");
  if (said) at("said").textContent = said.code;
});
at("forget").addEventListener("click", async () => {
  if (confirm("Everything that was recorded about this learner is removed. This cannot be taken back.") && await act("forget")) at("learner").close();
});
at("say-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (at("say").value.trim() && await request("/board/do", {action: "say", text: at("say").value, learners: receivers})) {
    at("say").value = "";
    receivers = null;
    at("to").textContent = "everybody";
  }
});
at("add-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = await request("/board/do", {action: "add", name: at("add").value});
  if (said) {
    at("add").value = "";
    await loadNames();
    alert(`${said.name}: ${said.code}`);
  }
});
at("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const options = at("answers").value.split("\n").filter((each) => each.trim());
  if (await request("/board/do", {action: "ask", text: at("ask").value, options})) {
    at("ask").value = "";
    at("answers").value = "";
  }
});
at("show-button").addEventListener("click", () => request("/board/do", {action: "show answers"}));
at("end-button").addEventListener("click", () => request("/board/do", {action: "end question"}));
at("stop-button").addEventListener("click", () => request("/board/do", {
  action: "stop", lesson: digest.lesson,
  step: digest.stops[digest.lesson] === undefined ? Number(at("stop-step").value) : null,
}));
at("others-button").addEventListener("click", async () => {
  const said = await request("/board/do", {action: "sign out others"});
  if (said) at("others").textContent = `The link has ended, and ${said.boards} other ${said.boards === 1 ? "board" : "boards"}. \`redis-tutor class link\` prints a new link.`;
});
at("out-button").addEventListener("click", async () => {
  if ((await fetch("/teacher/leave", {method: "POST"})).ok) signedOut();
});
at("code-button").addEventListener("click", () => request("/board/do", {action: "new code"}));
at("open-button").addEventListener("click", () => request("/board/do", {action: "open", open: !digest.code}));
at("picture-button").addEventListener("click", () => {
  at("picture").hidden = !at("picture").hidden;
  at("picture-button").setAttribute("aria-expanded", String(!at("picture").hidden));
  if (!at("picture").hidden) at("qr").src = `/board/join.svg?${Date.now()}`;
});
at("names-button").addEventListener("click", () => {
  shown = !shown;
  at("names-button").setAttribute("aria-pressed", String(shown));
  at("names-button").textContent = shown ? "Hide names" : "Show names";
  drawGrid();
});
at("right").addEventListener("change", drawPredictions);
at("theme-button").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
at("lesson").addEventListener("change", () => {
  at("lesson").dataset.chosen = at("lesson").value;
  listen();
});

(async () => {
  const said = await request("/board/contents");
  if (!said) return;
  contents = said;
  at("class").textContent = contents.class;
  at("lesson").replaceChildren(...[{key: "", title: "The one that most are in"}, ...contents.lessons].map((each) => {
    const option = element("option", each.title);
    option.value = each.key;
    return option;
  }));
  listen();
})();
