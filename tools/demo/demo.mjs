/** One run of the demo, once everything is installed and built. */

import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { checkout } from "../lib/checkout.mjs";
import { Family } from "./family.mjs";

/** @typedef {import("./family.mjs").Member} Member */
/** @typedef {import("@sd/testing").MemoryEtcd} MemoryEtcd */

const services = [
  { name: "web", key: "/web/node1", value: "localhost:8000" },
  { name: "gRPC", key: "/gRPC/node1", value: "localhost:9000" },
];
const prefixes = ["/web/", "/gRPC/"];

/** From the first process started to the last one gone. */
export class Demo {
  #family = new Family();
  /** @type {string[]} */
  #failures = [];
  #stop = new AbortController();

  /**
   * @param {{ seconds: number | undefined, endpoints: string | undefined }} options without `endpoints`, it plays on an
   *   etcd in memory
   * @returns {Promise<number>} the exit code
   */
  async run({ seconds, endpoints }) {
    this.#listen();
    /** @type {MemoryEtcd | undefined} */
    let memory;
    try {
      if (endpoints === undefined) {
        // Not above: it is built just before the demo.
        const { MemoryEtcd, serveMemoryEtcd } = await import("@sd/testing");
        memory = new MemoryEtcd();
        await this.#play((await serveMemoryEtcd(memory)).endpoint, seconds);
      } else {
        await this.#play(endpoints, seconds);
      }
    } catch (error) {
      this.#failures.push(error instanceof Error ? error.message : String(error));
    }
    this.#stop.abort();
    await memory?.close();
    await this.#family.close();
    for (const failure of this.#failures) process.stderr.write(`demo: ${failure}\n`);
    if (this.#failures.length === 0) process.stdout.write("demo: ended, nothing is left running\n");
    return this.#failures.length === 0 ? 0 : 1;
  }

  /**
   * @param {string} endpoints
   * @param {number | undefined} seconds
   */
  async #play(endpoints, seconds) {
    // The etcd of the demo is on this machine; a proxy could not reach it.
    const env = { ...process.env, ETCD_ENDPOINTS: endpoints, no_grpc_proxy: "127.0.0.1,localhost" };
    const start = (/** @type {string} */ name, /** @type {string} */ app, /** @type {string[]} */ args) => {
      const main = join(checkout, "apps", app, "dist", "main.js");
      const member = this.#family.start(name, [main, "--endpoints", endpoints, ...args], env);
      this.#expectToLast(member.ended.then(() => `${name} ended early with ${member.ending}`));
      return member;
    };
    const stopped = new Promise((resolve) => this.#stop.signal.addEventListener("abort", resolve));
    const client = start(
      "client",
      "client",
      prefixes.flatMap((prefix) => ["--prefix", prefix]),
    );
    const watching = client.shown(/watching prefix/, prefixes.length);
    if (!(await within(30_000, Promise.race([watching, stopped])))) {
      this.#failures.push("the client did not watch its prefixes within 30 s");
      this.#stop.abort();
    }
    /** @type {Member[]} */
    const servers = [];
    if (!this.#stop.signal.aborted) {
      for (const { name, key, value } of services) {
        servers.push(start(name, "server", ["--key", key, "--value", value, "--ttl", "5"]));
      }
      await (seconds === undefined ? stopped : within(seconds * 1000, stopped));
    }
    await this.#end(client, servers);
  }

  /**
   * Servers first, and the client only when it has seen them go.
   *
   * @param {Member} client
   * @param {Member[]} servers
   */
  async #end(client, servers) {
    this.#stop.abort();
    const lasting = [client, ...servers].filter((member) => member.ending === undefined);
    const listed = services.filter(({ key }) => client.hasShown(line("put key", key)));
    await Promise.all(servers.map((server) => server.stop()));
    // One that died has left its key to its lease.
    const deregistered = listed.filter(({ name }) =>
      servers.some((each) => each.name === name && each.ending === 0),
    );
    const gone = Promise.all(deregistered.map(({ key }) => client.shown(line("del key", key))));
    if (lasting.includes(client) && !(await within(2_000, gone))) {
      this.#failures.push("the client did not show within 2 s that the servers had gone");
    }
    await client.stop();
    for (const { name, ending } of lasting) {
      if (ending !== 0) this.#failures.push(`${name} ended with ${ending}`);
    }
  }

  /** The first wish to stop is granted in order, the second at once. */
  #listen() {
    let firstAt = Number.POSITIVE_INFINITY;
    const onSignal = () => {
      // npm passes on the Ctrl-C that the terminal has sent to all: one wish, two signals.
      if (performance.now() - firstAt > 300) {
        this.#family.killAll();
        process.exit(130);
      }
      firstAt = Math.min(firstAt, performance.now());
      this.#stop.abort();
    };
    for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, onSignal);
    // A signal to npm ends npm's shell, which tells us nothing.
    const parent = process.ppid;
    const look = () => process.ppid !== parent && this.#stop.abort();
    if (process.env["npm_lifecycle_event"] !== undefined) setInterval(look, 250).unref();
    // Nobody reads any more, as in `npm run demo | head`.
    for (const output of [process.stdout, process.stderr]) output.on("error", () => this.#stop.abort());
  }

  /**
   * Ends the demo if a process ends before its time.
   *
   * @param {Promise<string>} ended with the words for it
   */
  #expectToLast(ended) {
    void ended.then((message) => {
      if (this.#stop.signal.aborted) return;
      this.#failures.push(message);
      this.#stop.abort();
    });
  }
}

/** @param {string} text @param {string} key */
const line = (text, key) => new RegExp(`${text}\\s*:\\s*${key}(\\s|$)`);

/**
 * Waits for a promise, but not longer than that.
 *
 * @param {number} ms
 * @param {Promise<unknown>} promise
 * @returns {Promise<boolean>} whether it settled in time
 */
async function within(ms, promise) {
  const limit = new AbortController();
  try {
    return await Promise.race([promise.then(() => true), sleep(ms, false, { signal: limit.signal })]);
  } finally {
    limit.abort();
  }
}
