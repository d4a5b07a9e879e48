"use strict";
const at = (id) => document.getElementById(id);

async function send(path, body) {
  at("problem").textContent = "";
  try {
    const answer = await fetch(path, {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (answer.ok) return said;
    at("problem").textContent = said.problem;
  } catch {
    at("problem").textContent = "The hub of the class does not answer. Try again in a moment.";
  }
  return null;
}

function show(id) {
  for (const each of ["join", "confirm", "resume", "joined"]) at(each).hidden = each !== id && !(id === "join" && each === "resume");
}

at("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = await send("/check", {code: at("code").value, name: at("name").value});
  if (said) {
    at("as").textContent = said.name;
    show("confirm");
  }
});
at("back").addEventListener("click", () => show("join"));
at("confirm").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = await send("/join", {code: at("code").value, name: at("name").value});
  if (said) {
    at("own").textContent = said.resume;
    show("joined");
    at("begin").focus();
  } else {
    show("join");
  }
});
at("resume").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await send("/resume", {code: at("personal").value})) location.assign("/work");
});
if (location.hash.length > 1) {
  at("code").value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  at("name").focus();
}
