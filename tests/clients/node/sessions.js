// Node clients against our server, as people use them. Usage: node sessions.js NAME PORT; status 0 when all is as
// it should be. The names are those of `sessions` below.

"use strict";
const assert = require("node:assert/strict");
const { once } = require("node:events");
const Redis = require("ioredis");
const { createClient } = require("redis");

const sessions = {
  async values({ redis }) {
    assert.equal(await redis.set("greeting", "hello", "EX", 100, "NX"), "OK");
    assert.equal(await redis.set("greeting", "again", "NX"), null);
    assert.equal(await redis.get("greeting"), "hello");
    assert.deepEqual(await redis.getBuffer("greeting"), Buffer.from("hello"));
    assert.equal(await redis.hset("user", { name: "Ada", born: 1815 }), 2);
    assert.deepEqual(await redis.hgetall("user"), { name: "Ada", born: "1815" });
    assert.equal(await redis.zadd("scores", 2.5, "a", 1, "b"), 2);
    assert.deepEqual(await redis.zrange("scores", 0, -1, "WITHSCORES"), ["b", "1", "a", "2.5"]);
    await assert.rejects(redis.lpush("greeting", "x"), /WRONGTYPE/);
    const names = Array.from({ length: 500 }, (_, n) => `n${n}`);
    await redis.sadd("many", names);
    const found = [];
    for await (const page of redis.sscanStream("many", { count: 50 })) found.push(...page);
    assert.deepEqual(new Set(found), new Set(names));
  },

  async pipelines({ redis, connect }) {
    const pipeline = redis.pipeline();
    for (let n = 0; n < 1000; n++) pipeline.incr("counter");
    pipeline.lpush("counter", "x");
    const replies = await pipeline.exec();
    assert.deepEqual(replies.slice(0, 1000), Array.from({ length: 1000 }, (_, n) => [null, n + 1]));
    assert.match(replies[1000][0].message, /WRONGTYPE/);
    const eager = connect({ enableAutoPipelining: true, keyPrefix: "app:" });
    await Promise.all(Array.from({ length: 200 }, (_, n) => eager.set(`k${n}`, n)));
    assert.equal(await redis.get("app:k199"), "199");
  },

  async transactions({ redis, connect }) {
    assert.deepEqual(await redis.multi().set("a", 1).incr("a").get("a").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
    await assert.rejects(redis.multi().set("a").exec(), /EXECABORT/);
    const other = connect();
    await redis.watch("a");
    await other.set("a", "changed");
    assert.equal(await redis.multi().set("a", "mine").exec(), null);
    assert.equal(await redis.get("a"), "changed");
  },

  async blocking({ redis, connect }) {
    const worker = connect();
    const job = worker.blpop("jobs", "more", 20);
    const moved = connect().blmove("from", "to", "LEFT", "RIGHT", 20);
    await redis.rpush("jobs", "first", "second");
    await redis.rpush("from", "x");
    assert.deepEqual(await job, ["jobs", "first"]);
    assert.equal(await moved, "x");
    assert.equal(await worker.brpop("nothing", 0.01), null);
    assert.deepEqual(await worker.bzpopmin("none", 0.01), null);
  },

  async subscriptions({ redis, connect }) {
    const listener = connect();
    const heard = [];
    const all = new Promise((resolve) => {
      const hear = (...message) => heard.push(message) === 3 && resolve();
      listener.on("message", hear).on("pmessage", hear);
    });
    assert.equal(await listener.subscribe("news", "sport"), 2);
    assert.equal(await listener.psubscribe("n*"), 3);
    assert.equal(await redis.publish("news", "one"), 2);
    assert.equal(await redis.publish("sport", "two"), 1);
    await all;
    assert.deepEqual(heard, [["news", "one"], ["n*", "news", "one"], ["sport", "two"]]);
    await listener.unsubscribe("news", "sport");
    await listener.punsubscribe("n*");
    assert.equal(await listener.set("free", "again"), "OK");
  },

  async streams({ redis, connect }) {
    await redis.xgroup("CREATE", "log", "readers", "$", "MKSTREAM");
    const reader = connect();
    const next = reader.xreadgroup("GROUP", "readers", "one", "COUNT", 10, "BLOCK", 20000, "STREAMS", "log", ">");
    const id = await redis.xadd("log", "*", "level", "info", "text", "started");
    assert.deepEqual(await next, [["log", [[id, ["level", "info", "text", "started"]]]]]);
    assert.equal((await redis.xpending("log", "readers"))[0], 1);
    assert.deepEqual(await redis.xautoclaim("log", "readers", "two", 0, "0", "JUSTID"), ["0-0", [id], []]);
    assert.equal(await redis.xack("log", "readers", id), 1);
    for (let n = 0; n < 300; n++) redis.xadd("log", "MAXLEN", "~", 100, "*", "n", n);
    const kept = await redis.xlen("log");
    assert.ok(kept >= 100 && kept < 300, `${kept}`);
  },

  async scripts({ redis, connect }) {
    redis.defineCommand("swap", {
      numberOfKeys: 2,
      lua: `local held = redis.call('GET', KEYS[1])
            redis.call('SET', KEYS[1], redis.call('GET', KEYS[2]))
            redis.call('SET', KEYS[2], held)
            return {KEYS[1], ARGV[1], #KEYS}`,
    });
    await redis.mset("a", 1, "b", 2);
    assert.deepEqual(await redis.swap("a", "b", "argument"), ["a", "argument", 2]);
    assert.deepEqual(await redis.mget("a", "b"), ["2", "1"]);
    await redis.script("FLUSH"); // by its hash it is not found now, and sent anew
    assert.deepEqual(await redis.swap("a", "b", "again"), ["a", "again", 2]);
    const replies = await redis.pipeline().swap("a", "b", "piped").get("a").exec();
    assert.deepEqual(replies, [[null, ["a", "piped", 2]], [null, "2"]]);
    const other = connect({ scripts: { fails: { numberOfKeys: 0, lua: "return redis.error_reply('MINE no')" } } });
    await assert.rejects(other.fails(), /MINE no/);
    assert.equal(await redis.call("FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nredis.register_function('f', function() return 7 end)"), "l");
    assert.equal(await redis.call("FCALL", "f", 0), 7);
  },

  async reconnecting({ redis, connect }) {
    const listener = connect();
    const heard = once(listener, "message");
    await listener.subscribe("news");
    const lasting = connect();
    await lasting.select(3);
    await lasting.set("kept", "in three");
    const again = Promise.all([once(lasting, "ready"), once(listener, "ready")]);
    await redis.client("KILL", "TYPE", "normal", "SKIPME", "yes");
    await redis.client("KILL", "TYPE", "pubsub");
    await again;
    assert.equal(await lasting.get("kept"), "in three");
    while ((await redis.publish("news", "after")) === 0);
    assert.deepEqual(await heard, ["news", "after"]);
  },

  async "node-redis"({ port }) {
    for (const RESP of [2, 3]) {
      const client = await createClient({ socket: { port }, RESP }).connect();
      const plain = (value) => (value && typeof value === "object" ? { ...value } : value);
      assert.equal(await client.set(`a${RESP}`, "1", { expiration: { type: "EX", value: 100 } }), "OK");
      assert.equal(await client.hSet("h", { f: "v" }) <= 1, true);
      assert.deepEqual(plain(await client.hGetAll("h")), { f: "v" });
      await client.zAdd("z", [{ score: 1.5, value: "m" }]);
      assert.equal(await client.zScore("z", "m"), 1.5);
      assert.deepEqual(await client.multi().incr(`n${RESP}`).sMembers("none").exec(), [1, []]);
      const listener = await client.duplicate().connect();
      const heard = new Promise((resolve) => listener.subscribe("news", resolve).then(() => client.publish("news", "x")));
      assert.equal(await heard, "x");
      const reader = await client.duplicate().connect();
      const waiting = reader.blPop(`jobs${RESP}`, 20);
      await client.rPush(`jobs${RESP}`, "job");
      assert.deepEqual(plain(await waiting), { key: `jobs${RESP}`, element: "job" });
      await Promise.all([client, listener, reader].map((each) => each.close()));
    }
  },

  async "client-side caching"({ port, redis }) {
    const { BasicClientSideCache } = require("redis");
    const cache = new BasicClientSideCache({ maxEntries: 100 });
    const client = await createClient({ socket: { port }, RESP: 3, clientSideCache: cache }).connect();
    await redis.set("cached", "old");
    assert.equal(await client.get("cached"), "old");
    assert.equal(await client.get("cached"), "old");
    assert.equal(cache.stats().hitCount, 1);
    const told = once(cache, "invalidate");
    await redis.set("cached", "new");
    await told;
    assert.equal(await client.get("cached"), "new");
    await client.close();
  },
};

async function main([name, port]) {
  const opened = [];
  const connect = (options = {}) => {
    const client = new Redis({ port: Number(port), ...options });
    opened.push(client);
    return client;
  };
  const redis = connect();
  await redis.flushall();
  await sessions[name]({ redis, connect, port: Number(port) });
  opened.forEach((client) => client.disconnect());
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
