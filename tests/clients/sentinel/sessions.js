// How Node clients find their master through Sentinels; see tests/clients/test_sentinel.py.
// Usage: node sessions.js NAME PORT…

"use strict";
const { once } = require("node:events");
const { setTimeout: sleep } = require("node:timers/promises");
const Redis = require("ioredis");
const { createClient, createSentinel } = require("redis");

const ports = process.argv.slice(3).map(Number);
const sentinels = ports.map((port) => ({ host: "127.0.0.1", port }));
const say = (...words) => console.log(words.join(" "));

async function killed() {
  say("READY");
  await once(process.stdin, "data");
  process.stdin.pause();
}

async function untilDone(attempt) {
  for (;;) {
    try {
      if (await attempt()) return;
    } catch {
      // the master is gone, and the next one not known yet
    }
    await sleep(100);
  }
}

const sessions = {
  async ioredis() {
    const many = { sentinels, name: "mymaster", maxRetriesPerRequest: null };
    const master = new Redis({ ...many, role: "master" });
    const replica = new Redis({ ...many, role: "slave" });
    for (const each of [master, replica]) each.on("error", () => {});
    say("set", await master.set("ioredis", "before"));
    say("role", (await master.role())[0]);
    say("wait", await master.wait(2, 60000));
    say("replica's role", (await replica.role())[0]);
    say("replica's value", await replica.get("ioredis"));
    await replica.set("ioredis", "elsewhere").catch((error) => say("refused:", error.message));
    const nobody = new Redis({ sentinels, name: "nobody", sentinelRetryStrategy: () => null, lazyConnect: true });
    nobody.on("error", () => {});
    await nobody.connect().catch((error) => say("nobody's:", error.message));
    nobody.disconnect();
    const [one, told] = [new Redis(ports[1]), new Redis(ports[1])];
    const switched = once(told, "message");
    say("subscribed", await told.subscribe("+switch-master"));
    say("peers", (await one.sentinel("sentinels", "mymaster")).length);
    const old = String(await one.sentinel("get-master-addr-by-name", "mymaster"));
    await killed();
    await untilDone(async () => {
      if (String(await one.sentinel("get-master-addr-by-name", "mymaster")) === old) return false;
      return (await master.set("ioredis", "after")) === "OK" && (await master.role())[0] === "master";
    });
    const [channel, message] = await switched;
    say("told", channel, message.split(" ").length, String(message).startsWith("mymaster 127.0.0.1 "));
    say("moved", (await master.role())[0], await master.get("ioredis"));
    for (const each of [master, replica, one, told]) each.disconnect();
  },

  async "node-redis"() {
    const client = await createSentinel({ name: "mymaster", sentinelRootNodes: sentinels, scanInterval: 500 })
      .on("error", () => {})
      .connect();
    say("set", await client.set("node-redis", "before"));
    say("get", await client.get("node-redis"));
    const one = await createClient({ socket: sentinels[1] }).connect();
    const address = () => one.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"]);
    say("peers", (await one.sendCommand(["SENTINEL", "SENTINELS", "mymaster"])).length);
    const old = String(await address());
    await killed();
    await untilDone(async () => String(await address()) !== old && (await client.set("node-redis", "after")) === "OK");
    say("moved", await client.get("node-redis"));
    client.destroy();
    one.destroy();
  },
};

sessions[process.argv[2]]().catch((error) => {
  console.error(error);
  process.exit(1);
});
