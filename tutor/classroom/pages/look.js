"use strict";
const at = (id) => document.getElementById(id);
const terminal = new ClassTerminal(at("terminal"), location.pathname.replace("/look/", "/screen/"), false);
window.terminal = terminal;
function cover(text) {
  at("cover").textContent = text;
  at("cover").hidden = !text;
}
terminal.on.cover = cover;
terminal.on.signed_out = () => cover("This browser has been signed out as the teacher's. `redis-tutor class link` prints a new link.");
terminal.on.hello = () => {};
terminal.on.name = (name) => { at("name").textContent = name; };
terminal.on.ended = () => cover("The learner has left the tutor.");
terminal.on.refused = (why) => {
  terminal.ended = true;
  cover(why);
};
