/** docs/security.md: its commands are run as they stand there, and give the rights that it says, to our client. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createClient, decodeUtf8, failureOf, instanceKey } from "@sd/core";
import { discover, startDiscovery } from "@sd/discover";
import { register, startRegistration } from "@sd/register";
import { CertificateAuthority, EtcdProcess, etcdBinaries, eventually, leaseId } from "@sd/testing";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { cacheFolder } from "./lib/checkout.mjs";
import { codeBlocks } from "./lib/readme.mjs";
import { commands } from "./lib/recipe.mjs";

/** @typedef {import("@sd/testing").Certificate} Certificate */
/** @typedef {import("@sd/core").EtcdClient} EtcdClient */

/** @param {string} text */
const bytes = (text) => Buffer.from(text);

/**
 * Whether a version has what came with one of these, each of another line of versions.
 *
 * @param {string} version
 * @param {string[]} fixedIn
 */
function hasFix(version, fixedIn) {
  const [major, minor, patch] = version.split(".").map(Number);
  return fixedIn.some((fixed) => {
    const [fixedMajor, fixedMinor, fixedPatch = 0] = fixed.split(".").map(Number);
    return major === fixedMajor && minor === fixedMinor && (patch ?? 0) >= fixedPatch;
  });
}

describe.each(etcdBinaries())("the recipe of docs/security.md, on $name", ({ binary }) => {
  /** @type {CertificateAuthority} */
  let authority;
  /** @type {CertificateAuthority} */
  let stranger;
  /** @type {EtcdProcess} */
  let etcd;

  beforeAll(async () => {
    [authority, stranger] = await Promise.all([CertificateAuthority.create(), CertificateAuthority.create()]);
    etcd = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
    const lines = commands("etcdctl");
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) await etcd.ctl(...line);
    // A stranger's service, for which the recipe gives nobody any right.
    await etcd.ctl("put", "/web-admin/a", "localhost:1");
    await etcd.ctl("put", "/db/a", "localhost:1");
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  /**
   * @param {Certificate | undefined} certificate
   * @param {Partial<import("@sd/core").Etcd3TransportOptions>} [options]
   */
  function clientWith(certificate, options = {}) {
    const credentials = {
      rootCertificate: bytes(authority.cert),
      ...(certificate && { certChain: bytes(certificate.cert), privateKey: bytes(certificate.key) }),
    };
    const client = createClient({ endpoints: etcd.endpoint, credentials, ...options });
    onTestFinished(() => client.close());
    return client;
  }

  /** @param {string} user */
  const clientOf = async (user) => clientWith(await authority.client({ user }));

  /**
   * What kind of refusal a client meets.
   *
   * @param {EtcdClient} client
   * @param {string} [key]
   */
  const refusal = (client, key = "/web/a") =>
    client.transport.range({ key: bytes(key) }).then(() => "none", failureOf);

  it("starts etcd with the flags that are shown", () => {
    const shown = (commands("etcd")[0] ?? []).map((flag) => flag.split("=")[0] ?? "");
    const flags = shown.filter((flag) => !flag.endsWith("-client-urls"));
    expect(flags.toSorted()).toEqual([
      "--cert-file",
      "--client-cert-auth",
      "--key-file",
      "--trusted-ca-file",
    ]);
    const running = execFileSync("ps", ["-ww", "-o", "args=", "-p", String(etcd.pid)], { encoding: "utf8" });
    for (const flag of flags) expect(running).toContain(flag);
  });

  it("lets web register, update and deregister, and gateway see it", async () => {
    const gateway = await clientOf("gateway");
    const seen = await discover(gateway, { service: "web" });
    const web = await clientOf("web");
    const registration = await register(web, { service: "web", id: "a", address: "localhost:8000" });
    await eventually(() => seen.snapshot.instances.length === 1);
    await registration.update({ weight: 0 });
    await eventually(() => seen.snapshot.instances[0]?.weight === 0);
    // Deleted by hand, it comes back: it may watch its key, and write it again.
    const { modRevision } = seen.snapshot.instances[0] ?? { modRevision: 0 };
    await etcd.ctl("del", "/web/a");
    await eventually(() => (seen.snapshot.instances[0]?.modRevision ?? 0) > modRevision);
    expect(await registration.close()).toMatchObject({ confirmed: true });
    await eventually(() => seen.snapshot.instances.length === 0);
  });

  it.each(["web-admin", "db", "we"])(
    "denies web to register %s, and leaves what is there",
    async (service) => {
      const web = await clientOf("web");
      const registration = startRegistration(web, { service, id: "a", address: "localhost:8000" });
      await eventually(() => "error" in registration.state && registration.state.error !== undefined);
      expect(registration.state).toMatchObject({ status: "registering", error: { code: "SD_PERMISSION" } });
      const before = service === "we" ? "" : "localhost:1\n";
      expect(await etcd.ctl("get", "--print-value-only", instanceKey(service, "a"))).toBe(before);
    },
  );

  it("denies gateway to register what it may discover", async () => {
    const gateway = await clientOf("gateway");
    const registration = startRegistration(gateway, { service: "web", id: "x", address: "localhost:8000" });
    await eventually(() => "error" in registration.state && registration.state.error !== undefined);
    expect(registration.state).toMatchObject({ status: "registering", error: { code: "SD_PERMISSION" } });
    expect(await etcd.ctl("get", "/web/x")).toBe("");
  });

  it("lets one register its one key, if that is all that its role gives", async () => {
    await etcd.ctl("role", "add", "register-web-node1");
    await etcd.ctl("role", "grant-permission", "register-web-node1", "readwrite", "/web/node1");
    await etcd.ctl("user", "add", "node1", "--no-password");
    await etcd.ctl("user", "grant-role", "node1", "register-web-node1");
    const node1 = await clientOf("node1");
    const own = await register(node1, { service: "web", id: "node1", address: "localhost:8000" });
    await own.update({ weight: 2 });
    const other = startRegistration(node1, { service: "web", id: "node10", address: "localhost:8000" });
    await eventually(() => "error" in other.state && other.state.error !== undefined);
    expect(other.state).toMatchObject({ status: "registering", error: { code: "SD_PERMISSION" } });
    expect(await own.close()).toMatchObject({ confirmed: true });
  });

  it.each(["gateway", "web"])("denies %s to discover another service", async (user) => {
    const client = await clientOf(user);
    for (const service of ["web-admin", "db"]) {
      const discovery = startDiscovery(client, { service });
      await eventually(() => "error" in discovery.state && discovery.state.error !== undefined);
      expect(discovery.state).toMatchObject({ status: "syncing", error: { code: "SD_PERMISSION" } });
      expect(discovery.snapshot.instances).toEqual([]);
    }
    expect(await refusal(client, "/")).toBe("permission");
    expect(await refusal(client, "/web")).toBe("permission");
  });

  it("knows nobody whose certificate names no user", async () => {
    expect(await refusal(await clientOf("nobody"))).toMatch(/^(permission|auth)$/);
  });

  it("refuses who has no certificate, an expired one or another authority's, by the name tls", async () => {
    expect(await refusal(clientWith(undefined))).toBe("tls");
    expect(await refusal(clientWith(await stranger.client({ user: "web" })))).toBe("tls");
    const notAfter = new Date(Date.now() - 1_000);
    expect(await refusal(clientWith(await authority.client({ user: "web", notAfter })))).toBe("tls");
  });

  it("is not spoken to by a client that trusts another authority", async () => {
    const { cert, key } = await authority.client({ user: "web" });
    const credentials = {
      rootCertificate: bytes(stranger.cert),
      certChain: bytes(cert),
      privateKey: bytes(key),
    };
    expect(await refusal(clientWith(undefined, { credentials }))).toBe("tls");
  });

  it("does not answer who speaks plainly", async () => {
    const client = createClient({ endpoints: `http://127.0.0.1:${etcd.port}` });
    onTestFinished(() => client.close());
    expect(await refusal(client)).toBe("network");
  });

  describe("what roles do not protect", () => {
    const leasesAreProtectedIn = ["3.4.42", "3.5.28", "3.6.9", "3.7.0"];

    it("a lease: before 3.4.42, 3.5.28, 3.6.9 anybody may renew it; to revoke it takes its keys' rights", async () => {
      const web = await clientOf("web");
      const { state } = await register(web, { service: "web", id: "b", address: "localhost:8000" });
      if (state.status !== "registered") throw new Error(`it is ${state.status}`);
      const { leaseId: id } = state;
      const { transport } = await clientOf("gateway");
      expect(await transport.revoke(id).then(() => "none", failureOf)).toBe("permission");
      const refused = await new Promise((resolve) => {
        const onMessage = () => resolve("none");
        const onEnd = (/** @type {unknown} */ error) => resolve(failureOf(error));
        transport.keepAlive({ onMessage, onEnd }).then((stream) => stream.send({ id }), resolve);
      });
      expect(refused).toBe(hasFix(etcd.version, leasesAreProtectedIn) ? "permission" : "none");
    });

    it("new leases: whoever has a certificate may take them, a user of etcd or not", async () => {
      const { transport } = await clientOf("nobody");
      expect(await transport.grant({ id: leaseId(77n), ttlSeconds: 5 })).toMatchObject({ id: 77n });
    });

    it("the history: before 3.4.42, 3.5.28, 3.6.9 anybody may compact it", async () => {
      const { cert, key } = await authority.client({ user: "gateway" });
      const folder = mkdtempSync(join(tmpdir(), "sd-recipe-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "gateway.pem");
      writeFileSync(file, cert + key, { mode: 0o600 });
      const compacted = etcd.ctl(`--cert=${file}`, `--key=${file}`, "compact", "2");
      if (hasFix(etcd.version, leasesAreProtectedIn)) await expect(compacted).rejects.toThrow("denied");
      else expect(await compacted).toContain("compacted revision 2");
    });

    it("what is written behind one's own keys: before 3.5.33, 3.6.14, 3.7.1 a watch without an end tells it", async () => {
      const { transport } = await clientOf("gateway");
      const key = bytes("/web/");
      const { revision } = await etcd.status();
      const heard = new Promise((resolve) => {
        /** @type {import("@sd/core").StreamHandlers<import("@sd/core").WatchResponse>} */
        const handlers = {
          onMessage({ events, canceled }) {
            if (canceled) resolve("denied");
            for (const { kv } of events) resolve(decodeUtf8(kv.key));
          },
          onEnd: resolve,
        };
        const rangeEnd = Uint8Array.of(0);
        const startRevision = revision + 1;
        transport
          .watch(handlers)
          .then(
            (stream) => stream.send({ type: "create", watchId: 0, key, rangeEnd, startRevision }),
            resolve,
          );
      });
      await etcd.ctl("put", "/zoo/a", "secret");
      expect(await heard).toBe(hasFix(etcd.version, ["3.5.33", "3.6.14", "3.7.1"]) ? "denied" : "/zoo/a");
    });
  });

  it("leaves out addresses that the format of docs/security.md does not allow", async () => {
    const block = codeBlocks("docs/security.md").find(({ code }) => code.includes("BlockList"));
    const file = join(cacheFolder, "security", "format.ts");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, block?.code ?? "");
    const { format } = await import(file);
    const hosts = [
      "10.1.2.3",
      "169.254.169.254",
      "127.0.0.1",
      "[::1]",
      "[::ffff:10.1.2.3]",
      "metadata.internal",
    ];
    for (const [id, host] of hosts.entries()) await etcd.ctl("put", `/web/address-${id}`, `${host}:80`);
    const found = await discover(await clientOf("gateway"), { service: "web", format });
    expect(found.snapshot.instances.map(({ host }) => host)).toEqual(["10.1.2.3", "::ffff:10.1.2.3"]);
    expect(found.rejected.size).toBe(hosts.length - 2);
  });
});
