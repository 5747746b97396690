/** Starts one etcd of ours, on loopback ports and with a temporary data folder. */

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { etcdEnvironment } from "./find-etcd.mjs";

/**
 * @typedef {object} RunningEtcd
 * @property {string} endpoint the URL for clients
 * @property {Promise<string>} ended settles when it has ended, with its last words
 * @property {() => Promise<void>} stop ends it, within five seconds, and removes its data; may be called twice
 */

/**
 * Starts etcd and waits until it is healthy. It leads its own process group, so a Ctrl-C does not reach it.
 *
 * The caller stops it. If this process ends without that (an exception, `process.exit`), it is killed.
 *
 * @param {string} program
 * @param {number} [port] for clients; default: a free one
 * @returns {Promise<RunningEtcd>}
 * @throws {Error} with its last words, if it does not get healthy within 20 s
 */
export async function startEtcd(program, port) {
  for (let attempt = 1; ; attempt += 1) {
    const started = await spawnEtcd(program, port);
    const failure = await Promise.race([
      started.ended.then((words) => words || "it said nothing"),
      healthy(started.endpoint),
    ]);
    if (failure === undefined) return started;
    await started.stop();
    // Between looking for a free port and taking it, somebody else may have taken it.
    if (port !== undefined || attempt === 5 || !failure.includes("address already in use"))
      throw new Error(`etcd did not start: ${failure}`);
  }
}

/**
 * @param {string} program
 * @param {number} [port]
 * @returns {Promise<RunningEtcd>}
 */
async function spawnEtcd(program, port) {
  const [freePort, peerPort] = await freePorts(2);
  const endpoint = `http://127.0.0.1:${port ?? freePort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const folder = await mkdtemp(join(tmpdir(), "sd-etcd-"));
  const flags = {
    name: "node",
    "data-dir": join(folder, "data"),
    "listen-client-urls": endpoint,
    "advertise-client-urls": endpoint,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `node=${peer}`,
  };
  const child = spawn(
    program,
    Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    {
      cwd: folder,
      env: etcdEnvironment(),
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {string[]} */
  let lastLines = [];
  const remember = (/** @type {string} */ text) => {
    lastLines = [...lastLines, ...text.split("\n").filter(Boolean)].slice(-10);
  };
  child.stdout.setEncoding("utf8").on("data", remember);
  child.stderr.setEncoding("utf8").on("data", remember);
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", () => resolve(lastLines.join("\n")));
  });
  /** @type {Promise<void> | undefined} */
  let stopping;
  const stop = async () => {
    const limit = setTimeout(kill, 5_000);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(limit);
    process.off("exit", kill);
    await rm(folder, { recursive: true, force: true });
  };
  return { endpoint, ended, stop: () => (stopping ??= stop()) };
}

/**
 * @param {string} endpoint
 * @returns {Promise<string | undefined>} what is wrong
 */
async function healthy(endpoint) {
  for (let tries = 0; tries < 200; tries += 1) {
    await sleep(100);
    const answer = await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(1_000) }).catch(
      () => undefined,
    );
    const body = /** @type {{ health?: string } | undefined} */ (await answer?.json().catch(() => undefined));
    if (body?.health === "true") return undefined;
  }
  return "not healthy after 20 s";
}

/** @param {number} count */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  // All are held at once, so that they differ.
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(typeof address === "object" && address ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return /** @type {number[]} */ (ports);
}
