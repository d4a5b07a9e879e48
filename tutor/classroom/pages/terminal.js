"use strict";
// A terminal that shows what the hub sends, and sends numbered input until the hub has taken it.

class ClassTerminal {
  constructor(place, path, types) {
    this.place = place;
    this.path = path;
    this.types = types;
    this.page = Array.from(crypto.getRandomValues(new Uint8Array(8)), (each) => each.toString(16).padStart(2, "0")).join("");
    this.sent = 0;
    this.waiting = [];
    this.on = {};
    this.ended = false;
    this.signedOut = false;
    this.attempts = 0;
    this.term = new Terminal({
      scrollback: 0, cursorBlink: false, disableStdin: !types, fontSize: 15, screenReaderMode: false,
      fontFamily: "'DejaVu Sans Mono', 'Cascadia Mono', Menlo, Consolas, monospace",
      theme: {background: "#0d1117"}, macOptionIsMeta: true,
    });
    this.fit = new FitAddon.FitAddon();
    this.term.loadAddon(this.fit);
    this.term.open(place);
    this.term.parser.registerOscHandler(52, (data) => {  // the program copies to the clipboard
      const text = data.slice(data.indexOf(";") + 1);
      try {
        const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
        if (navigator.clipboard) navigator.clipboard.writeText(new TextDecoder().decode(bytes)).catch(() => {});
      } catch { /* not base64 */ }
      return true;
    });
    if (types) {
      this.term.onData((data) => this.type(data));
      this.term.onBinary((data) => this.type(data));
      this.term.onKey(() => this.say("typed"));  // not what the terminal itself answers to the program
      this.term.textarea.addEventListener("input", () => this.say("typed"));
      new ResizeObserver(() => this.resize()).observe(place);
    }
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.attempts = 0;
      this.ended = false;
      if (this.types) this.fit.fit();
      this.tell({page: this.page, size: [this.term.cols, this.term.rows]});
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.hear(JSON.parse(event.data));
      else this.term.write(new Uint8Array(event.data));
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;  // it was closed here
      this.socket = null;
      if (this.ended) return;
      this.say("cover", "The connection is lost. What you type is sent when it is back, unless the hub has to be started again.");
      this.attempts += 1;
      setTimeout(() => this.again(opened), Math.min(5000, 250 * 2 ** this.attempts) * (0.5 + Math.random() / 2));
    };
  }

  async again(opened) {
    if (!opened) {  // the hub may have refused it: a socket does not say why
      const answer = await fetch(this.path).catch(() => null);
      if (answer && answer.status === 401) {
        this.hear({signed_out: "You are no longer signed in to the class. Ask the teacher if you did not expect this."});
        return;
      }
    }
    this.connect();
  }

  hear(message) {
    if ("got" in message) {
      this.waiting = this.waiting.filter((each) => each.i > message.got);
      this.ready = true;
    }
    if ("hello" in message) {
      if (this.session && this.session !== message.hello) {  // what was typed belongs to the screen of an earlier one
        const lost = this.waiting.map((each) => each.d).join("");
        this.sent = 0;
        this.waiting = [];
        this.say("cover", "");
        if (lost) this.say("dropped", lost.replace(/\x1b(\[[0-9;?]*[ -/]*[@-~]|O.)/g, "").replace(/\r/g, "\u23ce").replace(/[\x00-\x1f\x7f]/g, ""));
      } else {
        this.say("cover", "");
      }
      this.session = message.hello;
      for (const each of this.waiting) this.tell(each);
      if (!this.types) this.show(...message.size);
    }
    if ("size" in message && (message.size[0] !== this.term.cols || message.size[1] !== this.term.rows)) {
      this.show(...message.size);
    }
    if ("ended" in message) this.ended = true;
    if ("signed_out" in message) this.ended = this.signedOut = true;
    for (const [name, value] of Object.entries(message)) this.say(name, value);
  }

  say(name, value) {
    if (this.on[name]) this.on[name](value);
  }

  tell(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  type(data) {
    if (this.ended) {
      if (data === "\r" && !this.signedOut) {
        this.page = crypto.getRandomValues(new Uint32Array(2)).join("");
        this.sent = 0;
        this.waiting = [];
        this.connect();
      }
      return;
    }
    const message = {i: ++this.sent, d: data};
    this.waiting.push(message);
    this.tell(message);
  }

  close() {
    this.ended = true;
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
    this.term.dispose();
  }

  show(columns, rows) {
    this.term.resize(columns, rows);
    if (!this.types) {  // somebody else's screen: as large as it fits
      const room = this.place.getBoundingClientRect();
      this.term.options.fontSize = Math.max(6, Math.floor(Math.min(room.width / (columns * 0.605), room.height / (rows * 1.2))));
    }
  }

  resize() {
    if (!this.place.offsetWidth) return;  // another screen is shown
    this.fit.fit();
    this.tell({size: [this.term.cols, this.term.rows]});
  }
}
