/**
 * Measures the etcd in memory through its gRPC door, with client and server in different processes.
 *
 *   node packages/testing/bench/memory-server.mjs [--etcd <binary>]    (build the packages first)
 *
 * The same load on a bare grpc-js server shows what of it is ours; on a real etcd, what one may expect.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { fields, page, put, txn, watchAll } from "./wire.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const identity = (bytes) => bytes;
const VALUE = "x".repeat(64);
const rate = (count, ms) => Math.round((count / ms) * 1000).toLocaleString("en");
const report = (name, figure) => console.log(`${name.padEnd(52)}${figure}`);

/** Starts a server that prints its address, or has it given. */
async function start(command, args, given) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", given ? "ignore" : "inherit"] });
  let address = given;
  if (given) await sleep(2_000);
  else {
    for await (const line of createInterface({ input: child.stdout })) {
      address = /http:\/\/([\d.:]+)/.exec(line)?.[1];
      if (address) break;
    }
  }
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
  });
  const call = (path, request) =>
    new Promise((resolve, reject) => {
      const done = (error, answer) => (error ? reject(error) : resolve(answer));
      client.makeUnaryRequest(`/etcdserverpb.${path}`, identity, identity, request, done);
    });
  const rss = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) / 1024;
  const close = () => {
    client.close();
    child.kill("SIGKILL");
  };
  return { client, call, rss, close };
}

/** Opens a watch of everything; counts what it hears. */
async function watch({ client }) {
  const stream = client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", identity, identity);
  const heard = { events: 0, stream };
  stream.on("error", () => {});
  await new Promise((resolve) => {
    stream.once("data", resolve);
    stream.write(watchAll());
  });
  stream.on("data", (message) => {
    heard.events += fields(message, 11).length;
  });
  return heard;
}

/** Runs `work(0)` ... `work(count - 1)`, `width` at a time. */
async function inParallel(count, width, work) {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

async function measureWatched(server, count, width, work, events) {
  const heard = await watch(server);
  const began = performance.now();
  await inParallel(count, width, work);
  while (heard.events < events) await sleep(5);
  const ms = performance.now() - began;
  heard.stream.cancel();
  return ms;
}

/** In turns, so that what else the machine does harms all alike; the best round of each counts. */
async function singlePuts(servers) {
  const work = (server) => (index) => server.call("KV/Put", put(`/k/${index % 1_000}`, VALUE));
  const best = new Map();
  for (let round = 0; round < 4; round += 1) {
    for (const [name, server] of Object.entries(servers)) {
      const ms = await measureWatched(server, 15_000, 64, work(server), 15_000);
      // The first one warms up.
      if (round > 0) best.set(name, Math.min(best.get(name) ?? ms, ms));
    }
  }
  for (const [name, ms] of best) report(`${name}: single puts, watched`, `${rate(15_000, ms)} events/s`);
  const [bare, ours] = best.values();
  if (ours) report("in memory: of what bare grpc-js does", `${Math.round((bare / ours) * 100)} %`);
}

async function transactions(name, server) {
  const puts = (index) =>
    Array.from({ length: 100 }, (_, n) => put(`/k/${(index * 100 + n) % 1_000}`, VALUE));
  const work = (index) => server.call("KV/Txn", txn(puts(index)));
  const ms = await measureWatched(server, 1_000, 16, work, 100_000);
  report(`${name}: transactions of 100 puts, watched`, `${rate(100_000, ms)} events/s`);
}

async function manyKeys(name, server) {
  const puts = (index) => Array.from({ length: 100 }, (_, n) => put(`/many/${index * 100 + n}`, VALUE));
  const began = performance.now();
  await inParallel(1_000, 16, (index) => server.call("KV/Txn", txn(puts(index))));
  const written = performance.now();
  let from = Buffer.from("/many/");
  let count = 0;
  for (;;) {
    const kvs = fields(await server.call("KV/Range", page(from, 5_000)), 2);
    count += kvs.length;
    if (kvs.length < 5_000) break;
    from = Buffer.concat([fields(kvs.at(-1), 1)[0], Buffer.from([0])]);
  }
  const read = performance.now();
  report(`${name}: 100,000 keys written`, `${Math.round(written - began)} ms`);
  report(
    `${name}: ${count.toLocaleString("en")} keys listed in pages of 5,000`,
    `${Math.round(read - written)} ms`,
  );
}

/** A million puts on a thousand keys must not cost a million versions, nor the next million more. */
async function longLife(name, server) {
  const puts = (index) =>
    Array.from({ length: 100 }, (_, n) => put(`/k/${(index * 100 + n) % 1_000}`, VALUE));
  const sizes = [Math.round(server.rss())];
  for (let million = 0; million < 3; million += 1) {
    await inParallel(10_000, 16, (index) => server.call("KV/Txn", txn(puts(index))));
    sizes.push(Math.round(server.rss()));
  }
  report(`${name}: RSS, then after each million of puts on 1,000 keys`, `${sizes.join(", ")} MiB`);
}

/** A watcher that does not read while 100,000 events of 1 KiB come. */
async function deafWatcher(name, server) {
  const { stream } = await watch(server);
  stream.removeAllListeners("data");
  stream.pause();
  const before = server.rss();
  const value = "x".repeat(1_024);
  const puts = (index) =>
    Array.from({ length: 100 }, (_, n) => put(`/k/${(index * 100 + n) % 1_000}`, value));
  await inParallel(1_000, 16, (index) => server.call("KV/Txn", txn(puts(index))));
  report(
    `${name}: RSS while a watcher does not read`,
    `${Math.round(before)} -> ${Math.round(server.rss())} MiB`,
  );
  stream.cancel();
}

const began = performance.now();
const { MemoryEtcd, serveMemoryEtcd } = await import("@sd/testing");
const imported = performance.now();
const memory = new MemoryEtcd();
await serveMemoryEtcd(memory);
const started = performance.now();
report(
  "in memory: start in process",
  `${(started - imported).toFixed(1)} ms (import ${Math.round(imported - began)} ms)`,
);
await memory.close();

const echo = await start(process.execPath, [here("echo-server.mjs")]);
const served = await start(process.execPath, [here("../dist/sd-etcd.js"), "etcd", "--port", "0"]);
await singlePuts({ "bare grpc-js": echo, "in memory": served });
echo.close();
await transactions("in memory", served);
await manyKeys("in memory", served);
await longLife("in memory", served);
await deafWatcher("in memory", served);
served.close();

const given = process.argv.indexOf("--etcd");
if (given > 0) {
  const directory = mkdtempSync(join(tmpdir(), "sd-bench-"));
  const address = "127.0.0.1:23791";
  const urls = [`--listen-client-urls=http://${address}`, `--advertise-client-urls=http://${address}`];
  const peer = "--listen-peer-urls=http://127.0.0.1:23792";
  const etcd = await start(process.argv[given + 1], [`--data-dir=${directory}`, ...urls, peer], address);
  await singlePuts({ "real etcd": etcd });
  await transactions("real etcd", etcd);
  await manyKeys("real etcd", etcd);
  etcd.close();
  rmSync(directory, { recursive: true, force: true });
}
