/** Passwords, tokens and private keys are planted, things are made to fail, and all that comes out is searched. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { inspect } from "node:util";
import { createClient, SdError } from "@sd/core";
import { startDiscovery, startPrefixDiscovery } from "@sd/discover";
import { startKeyRegistration, startRegistration } from "@sd/register";
import { CertificateAuthority, EtcdProcess, etcdBinaries, eventually, startNode } from "@sd/testing";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { checkout } from "./lib/checkout.mjs";

/** @typedef {import("@sd/core").ClientOptions} ClientOptions */

const password = "canary-pa55word";
const wrongPassword = "canary-wr0ng";

/** Every channel that there is: the names are types only. */
const channels = [
  ...readFileSync(join(checkout, "packages/core/src/kit/channels.ts"), "utf8").matchAll(
    /^ {2}"(sd:[a-z:]+)"/gm,
  ),
].map(([, name = ""]) => name);

/** What has come out, as whoever prints it would see it. */
class Output {
  /** @type {string[]} */
  #texts = [];
  /** Names of channels that were heard. */
  heard = new Set();

  /**
   * @param {string} where
   * @param {unknown} thing
   */
  add(where, thing) {
    this.#texts.push(
      `${where} ${inspect(thing, { depth: 12, showHidden: true, getters: true, maxStringLength: null })}`,
      `${where} ${asJson(thing)}`,
      `${where} ${String(thing instanceof Error ? thing.stack : thing)}`,
    );
  }

  get length() {
    return this.#texts.length;
  }

  /** @param {string} secret */
  holding(secret) {
    // In other forms too: a token or a key may be shown as bytes.
    const forms = [
      secret,
      Buffer.from(secret).toString("base64").slice(0, -4),
      Buffer.from(secret).toString("hex"),
    ];
    const bytes = [...Buffer.from(secret)].join(",");
    return this.#texts.filter((text) =>
      [...forms, bytes].some((form) => text.replaceAll(/\s/g, "").includes(form.replaceAll(/\s/g, ""))),
    );
  }
}

/** @param {unknown} thing */
function asJson(thing) {
  try {
    return JSON.stringify(thing, (_, value) => (typeof value === "bigint" ? String(value) : value));
  } catch {
    return "a cycle";
  }
}

/** @type {Output} */
let output;

beforeEach(() => {
  output = new Output();
  const listeners = channels.map((name) => {
    const listener = (/** @type {unknown} */ payload) => {
      output.heard.add(name);
      output.add(name, payload);
    };
    subscribe(name, listener);
    return () => unsubscribe(name, listener);
  });
  const onWarning = (/** @type {Error} */ warning) => output.add("warning", warning);
  process.on("warning", onWarning);
  for (const name of /** @type {const} */ (["log", "info", "warn", "error", "debug"])) {
    vi.spyOn(console, name).mockImplementation((...args) => output.add(`console.${name}`, args));
  }
  for (const name of /** @type {const} */ (["stdout", "stderr"])) {
    const write = process[name].write.bind(process[name]);
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      output.add(name, text);
      return write(text);
    });
  }
  return () => {
    process.off("warning", onWarning);
    for (const unhear of listeners) unhear();
  };
});
afterEach(() => void vi.restoreAllMocks());

/**
 * A registration and a discovery of each kind on a client of their own; all that they tell goes to the output.
 *
 * @param {ClientOptions} options
 */
function start(options) {
  const client = createClient(options);
  const things = {
    client,
    transport: client.transport,
    registration: startRegistration(client, {
      service: "web",
      id: "a",
      address: "localhost:1",
      ttlSeconds: 5,
    }),
    key: startKeyRegistration(client, { key: "/key", value: "1", ttlSeconds: 5 }),
    discovery: startDiscovery(client, { service: "web" }),
    prefix: startPrefixDiscovery(client, "/web/"),
  };
  const { registration, key, discovery, prefix } = things;
  for (const [name, thing] of Object.entries({ registration, key, discovery, prefix })) {
    /** @type {{ subscribe(listener: (state: unknown) => void): Disposable }} */ (thing).subscribe((state) =>
      output.add(`${name}.state`, state),
    );
  }
  onTestFinished(() => client.close());
  return {
    ...things,
    /** Waits for an error in each state, then looks at everything from outside. */
    async fails() {
      await eventually(() => [registration, key, discovery, prefix].every(({ state }) => "error" in state));
      this.show();
    },
    show() {
      for (const [name, thing] of Object.entries(things)) output.add(name, thing);
      output.add("renewals", registration.renewals());
      output.add("leases", client.leases);
      try {
        discovery.pick();
      } catch (error) {
        output.add("pick()", error);
      }
    },
    /** Asks once more, for errors of calls, then closes and asks again. */
    async end() {
      const { transport } = client;
      const ask = () => transport.range({ key: Buffer.from("/web/a") });
      await ask().catch((/** @type {unknown} */ error) => output.add("range()", error));
      await client.leases.grant({ ttlSeconds: 5, signal: AbortSignal.timeout(500) }).catch((error) => {
        output.add("grant()", error);
      });
      this.show();
      await client.close();
      await ask().catch((/** @type {unknown} */ error) => output.add("range() after close()", error));
      this.show();
    },
  };
}

/** @param {string[]} secrets */
function expectNoneOf(...secrets) {
  expect(output.length).toBeGreaterThan(20);
  for (const secret of secrets) expect(output.holding(secret)).toEqual([]);
}

/**
 * Stands between a client and etcd without TLS, and keeps what it hears.
 *
 * @param {number} etcdPort
 */
async function wiretap(etcdPort) {
  /** @type {Buffer[]} */
  const heard = [];
  const server = createServer((socket) => {
    const etcd = connect(etcdPort, "127.0.0.1");
    socket.on("data", (chunk) => heard.push(chunk)).on("error", () => etcd.destroy());
    etcd.on("data", (chunk) => heard.push(chunk)).on("error", () => socket.destroy());
    socket.pipe(etcd).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { endpoint: `http://127.0.0.1:${port}`, text: () => Buffer.concat(heard).toString("latin1") };
}

it("the search finds what is printed in any form", () => {
  output.add("error", new Error("x", { cause: { metadata: new Map([["token", password]]) } }));
  output.add("key", { key: Buffer.from(password) });
  output.add("path", { endpoint: `http://root:${password}@a` });
  expect(output.holding(password).length).toBeGreaterThanOrEqual(3);
  expect(channels.length).toBeGreaterThanOrEqual(15);
});

describe.each(etcdBinaries())("no secret comes out, with $name", ({ binary }) => {
  it("when the password is wrong", async () => {
    const etcd = await EtcdProcess.start({ binary });
    onTestFinished(() => etcd[Symbol.asyncDispose]());
    await etcd.enableAuth({ users: { root: { password } } });
    const auth = { username: "root", password: wrongPassword };
    const tap = await wiretap(etcd.port);
    const all = start({ endpoints: tap.endpoint, auth });
    await all.fails();
    await all.end();
    expect(tap.text(), "it was sent").toContain(wrongPassword);
    expect(output.heard).toContain("sd:registration:failed");
    expectNoneOf(wrongPassword, password);
  });

  it("when tokens expire, and etcd goes down and comes back", async () => {
    const etcd = await EtcdProcess.start({ binary, args: ["--auth-token-ttl=2"] });
    onTestFinished(() => etcd[Symbol.asyncDispose]());
    await etcd.enableAuth({ users: { root: { password } } });
    const tap = await wiretap(etcd.port);
    const all = start({ endpoints: tap.endpoint, auth: { username: "root", password } });
    await eventually(
      () => all.registration.state.status === "registered" && all.discovery.state.status === "live",
    );
    all.show();
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    await all.registration.update({ weight: 2 });
    await etcd.kill();
    await eventually(() => all.discovery.state.status === "stale");
    // Waits for etcd.
    const update = all.registration.update({ weight: 3 });
    all.show();
    await eventually(() => all.registration.state.status === "lost", { timeoutMs: 15_000 });
    await all.fails();
    await etcd.restart();
    await update;
    await eventually(() => all.registration.state.status === "registered", { timeoutMs: 15_000 });
    await all.end();
    const tokens = new Set(tap.text().match(/[A-Za-z]{16}\.\d+/g));
    expect(tokens.size, "tokens were handed out").toBeGreaterThanOrEqual(2);
    expect(tap.text()).toContain(password);
    expectNoneOf(password, ...tokens);
  });

  it("when TLS fails, or a key cannot be read", async () => {
    const [authority, stranger] = await Promise.all([
      CertificateAuthority.create(),
      CertificateAuthority.create(),
    ]);
    const etcd = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
    onTestFinished(() => etcd[Symbol.asyncDispose]());
    const [good, foreign] = await Promise.all([
      authority.client({ user: "web" }),
      stranger.client({ user: "web" }),
    ]);
    /** @param {string} ca @param {import("@sd/testing").Certificate} shown */
    const credentials = (ca, { cert, key }) => ({
      rootCertificate: Buffer.from(ca),
      certChain: Buffer.from(cert),
      privateKey: Buffer.from(key),
    });
    const broken = { ...good, key: good.key.replace("PRIVATE", "PRIVY") };
    const endpoints = etcd.endpoint;
    for (const each of [
      credentials(stranger.cert, good),
      credentials(authority.cert, foreign),
      // Read anew for each connection, it may be broken later.
      () => credentials(authority.cert, broken),
      () => credentials(authority.cert, { ...good, key: foreign.key }),
    ]) {
      const all = start({ endpoints, credentials: each });
      await all.fails();
      await all.end();
    }
    for (const each of [broken, { ...good, key: foreign.key }, { ...good, key: "canary" }]) {
      try {
        createClient({ endpoints, credentials: credentials(authority.cert, each) });
      } catch (error) {
        expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
        output.add("createClient()", error);
      }
    }
    const all = start({ endpoints, credentials: credentials(authority.cert, good) });
    await eventually(() => all.registration.state.status === "registered");
    await all.end();
    const bodies = [good, foreign].flatMap(({ key }) =>
      key.split("\n").filter((line) => /^[\w+/=]{40,}$/.test(line)),
    );
    expect(bodies.length).toBeGreaterThanOrEqual(4);
    expectNoneOf(...bodies, "canary");
  });
});

describe("the apps show no password", () => {
  const endpoint = `http://root:${password}@127.0.0.1:1`;

  it.each([
    ["server", ["--key", "/a", "--value", "b", "--endpoints", endpoint], {}],
    ["server", ["--key", "/a", "--value", "b", "--endpoints", `127.0.0.1:1,${endpoint}`], {}],
    ["server", ["--key", "/a", "--value", "b"], { ETCD_ENDPOINTS: endpoint }],
    ["client", ["--endpoints", endpoint], {}],
    ["client", ["--endpoints", endpoint.slice(7)], {}],
    ["client", [`--endpoint=${endpoint}`], {}],
    ["client", [], { ETCD_ENDPOINTS: endpoint }],
  ])("of an address that is refused: %s %j %j", async (app, args, env) => {
    const child = startNode(join(checkout, "apps", app, "dist", "main.js"), args, { env });
    onTestFinished(() => child[Symbol.asyncDispose]());
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.lines).toHaveLength(1);
    expect(child.lines[0]?.text).not.toContain(password);
  });
});
