// How Node clients use a cluster; see tests/clients/test_cluster.py.
// Usage: node sessions.js NAME PORT…

"use strict";
const { createInterface } = require("node:readline");
const { once } = require("node:events");
const { setTimeout: sleep } = require("node:timers/promises");
const Redis = require("ioredis");
const { createCluster } = require("redis");

const ports = process.argv.slice(3).map(Number);
const say = (...words) => console.log(words.join(" "));
const parent = createInterface({ input: process.stdin });
const GET = "return redis.call('GET', KEYS[1])";

async function waitForParent(what) {
  say(what);
  await once(parent, "line");
}

async function untilDone(attempt) {
  for (;;) {
    try {
      if ((await attempt()) === "OK") return;
    } catch {
      // no node serves the slot yet
    }
    await sleep(100);
  }
}

const sessions = {
  async ioredis() {
    const nodes = ports.map((port) => ({ host: "127.0.0.1", port }));
    const client = new Redis.Cluster(nodes, { redisOptions: { maxRetriesPerRequest: 0 } });
    client.on("error", () => {});
    await once(client, "ready");
    say("masters", client.nodes("master").length);
    for (const key of ["foo", "hello", "name"]) say("set", key, await client.set(key, "before"), await client.get(key));
    await client.mset("foo", 1, "hello", 2).catch((error) => say("two slots:", error.message));
    say("one slot", await client.mset("{user:7}:name", "Ada", "{user:7}:cart", 3));
    say("one slot", await client.mget("{user:7}:name", "{user:7}:cart"));
    say("pipeline", JSON.stringify(await client.pipeline().incr("{user:7}:cart").get("{user:7}:name").exec()));
    say("transaction", JSON.stringify(await client.multi().incr("{user:7}:cart").get("{user:7}:name").exec()));
    say("script", await client.eval(GET, 1, "name"));
    const sizes = await Promise.all(client.nodes("master").map((node) => node.dbsize()));
    say("sizes", sizes.sort());
    await waitForParent("MOVE");
    say("moved", await client.get("hello"), await client.set("hello", "elsewhere"), await client.get("hello"));
    await waitForParent("KILL");
    await untilDone(() => client.set("name", "after"));
    say("replaced", await client.get("name"), await client.get("foo"));
    client.disconnect();
  },

  async "node-redis"() {
    const rootNodes = ports.map((port) => ({ socket: { host: "127.0.0.1", port } }));
    const client = await createCluster({ rootNodes })
      .on("error", () => {})
      .connect();
    say("masters", client.masters.length);
    for (const key of ["foo", "hello", "name"]) say("set", key, await client.set(key, "before"), await client.get(key));
    say("two slots", await client.mSet({ foo: "1", hello: "2" }).catch((error) => error.message));
    say("one slot", await client.mSet({ "{user:7}:name": "Ada", "{user:7}:cart": "3" }));
    say("one slot", await client.mGet(["{user:7}:name", "{user:7}:cart"]));
    say("transaction", JSON.stringify(await client.multi().incr("{user:7}:cart").get("{user:7}:name").exec()));
    say("script", await client.eval(GET, { keys: ["name"] }));
    let told = null;
    await client.sSubscribe("news", (message) => (told = message));
    say("published", await client.sPublish("news", "today"));
    while (told === null) await sleep(10);
    say("told", told);
    await client.sUnsubscribe("news");
    await waitForParent("MOVE");
    say("moved", await client.get("hello"), await client.set("hello", "elsewhere"), await client.get("hello"));
    await waitForParent("KILL");
    await untilDone(() => client.set("name", "after"));
    say("replaced", await client.get("name"), await client.get("foo"));
    client.destroy();
  },
};

sessions[process.argv[2]]()
  .then(() => process.exit(0))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
