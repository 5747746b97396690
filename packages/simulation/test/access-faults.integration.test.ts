import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createClient, type Etcd3Credentials, failureOf, type SdChannels } from "@sd/core";
import { startDiscovery } from "@sd/discover";
import { startRegistration } from "@sd/register";
import {
  type Certificate,
  CertificateAuthority,
  EtcdProcess,
  FaultProxy,
  leakCheck,
  oldestAndNewestEtcd,
} from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, describe, expect, it, vi } from "vitest";
import { leaseTime, newest, Pair, pause } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));

const auth = { username: "web", password: "s3cret" };
const back = { withinMs: 12_000 };
/** What an operator has ended is noticed later: such errors are tried again every 30 s, more or less. */
const slowly = { withinMs: 45_000 };

const users = {
  root: { password: "r00t" },
  web: { password: auth.password, permissions: [{ prefix: "/web/", access: "readwrite" as const }] },
};
const kindOf = ({ state }: { readonly state: object }): unknown =>
  "error" in state ? failureOf(state.error) : undefined;
/** From this version on, a renewal wants the right to write the lease's keys. */
const checksRenewals = ({ version }: EtcdProcess): boolean => version === "3.5.30";

describe.each(oldestAndNewestEtcd())(
  "a registration and a discovery, when access changes, on $name",
  ({ binary }) => {
    it.concurrent("F50 token expired: renewed and resumed by another one, without a write, nor a list for each", async () => {
      await using etcd = await EtcdProcess.start({ binary, args: ["--auth-token-ttl=3"] });
      const permissions = [{ prefix: "/token/", access: "readwrite" as const }];
      await etcd.enableAuth({ users: { ...users, web: { ...users.web, permissions } } });
      await using proxy = await FaultProxy.start({ target: etcd.endpoint });
      await using pair = await Pair.start({ endpoints: proxy.endpoint, auth }, { service: "token" });
      let lists = 0;
      const onListed = (message: unknown): void => {
        if ((message as SdChannels["sd:reflector:listed"]).prefix === pair.web.prefix) lists += 1;
      };
      subscribe("sd:reflector:listed", onListed);
      const before = await etcd.ctl("get", "/token/node1", "-w=fields");
      await pause(9_000);
      await etcd.ctl("put", "/token/node2", "localhost:1");
      await expect(pair.web).toConverge(["node1", "node2"]);
      proxy.reset();
      await etcd.ctl("put", "/token/node2", "localhost:2");
      await expect(pair.web).toConverge(["node1", "localhost:2"], back);
      await leaseTime();
      unsubscribe("sd:reflector:listed", onListed);
      expect(kvOf(await etcd.ctl("get", "/token/node1", "-w=fields"))).toEqual(kvOf(before));
      expect(pair.serverStates.statuses).toEqual(["registered"]);
      // A link that stalls may cost one; several tokens have expired.
      expect(lists).toBeLessThanOrEqual(1);
      expect(pair.changes.log).toEqual(["+/token/node2", "~/token/node2"]);
      expect(pair.changes).toBeConsistent();
    });

    it.concurrent("F8 F50 restored from a snapshot, and tokens of the history that is lost: both are back with others", async () => {
      await using etcd = await EtcdProcess.start({ binary });
      await etcd.enableAuth({ users });
      const snapshot = await etcd.snapshot();
      // With a token etcd waits until its log is as long as it was when it gave it.
      await using writer = createClient({ endpoints: etcd.endpoint, auth });
      for (let left = 200; left > 0; left -= 1) await writer.leases.grant({ ttlSeconds: 600 });
      await using pair = await Pair.start({ endpoints: etcd.endpoint, auth });
      await etcd.kill();
      await etcd.restore(snapshot, { token: "restored" });
      await etcd.restart();
      const isThere = async (): Promise<boolean> => (await etcd.ctl("get", "/web/node1")) !== "";
      await vi.waitFor(async () => expect(await isThere()).toBe(true), { timeout: 20_000, interval: 100 });
      await expect(pair.server).toReach("registered");
      await etcd.ctl("put", "/web/node2", "localhost:1");
      await expect(pair.web).toConverge(["node1", "node2"], back);
    }, 60_000);

    it.concurrent("F51 authentication switched on and off: who has credentials does not notice, who has none waits", async () => {
      await using etcd = await EtcdProcess.start({ binary });
      await using proxy = await FaultProxy.start({ target: etcd.endpoint });
      await using pair = await Pair.start({ endpoints: etcd.endpoint, auth });
      await using stranger = await Pair.start({ endpoints: proxy.endpoint }, { service: "stranger" });
      await etcd.enableAuth({ users });
      proxy.reset();
      await expect(stranger.web).toReach("stale", back);
      await vi.waitFor(() => expect(kindOf(stranger.web)).toBe("auth"), 10_000);
      expect(stranger.web.pick().id).toBe("node1");
      await leaseTime();
      await etcd.ctl("put", "/web/node2", "localhost:1");
      await expect(pair.web).toConverge(["node1", "node2"]);
      await etcd.disableAuth();
      await expect(stranger.web).toConverge(["node1"], slowly);
      await expect(stranger.server).toReach("registered", slowly);
      await etcd.ctl("del", "/web/node2");
      await expect(pair.web).toConverge(["node1"]);
      expect([pair.serverStates.statuses, pair.changes.log]).toEqual([
        ["registered"],
        ["+/web/node2", "-/web/node2"],
      ]);
    }, 120_000);

    it.concurrent("F52 permission revoked: what is known is kept, both say why, and are back when it is given again", async () => {
      await using etcd = await EtcdProcess.start({ binary });
      await etcd.enableAuth({ users });
      await using proxy = await FaultProxy.start({ target: etcd.endpoint });
      await using pair = await Pair.start({ endpoints: proxy.endpoint, auth });
      await etcd.ctl("role", "revoke-permission", "web", "/web/", "--prefix=true");
      proxy.reset();
      await expect(pair.web).toReach("stale", back);
      await vi.waitFor(() => expect(kindOf(pair.web)).toBe("permission"), 10_000);
      await leaseTime();
      const isThere = (await etcd.ctl("get", "/web/node1", "--keys-only")) !== "";
      expect(isThere, "renewed without the right, by an old etcd").toBe(!checksRenewals(etcd));
      if (checksRenewals(etcd))
        expect([pair.server.state.status, kindOf(pair.server)]).toEqual(["lost", "permission"]);
      expect([pair.web.pick().id, pair.changes.log]).toEqual(["node1", []]);
      await etcd.ctl("role", "grant-permission", "web", "readwrite", "--prefix=true", "/web/");
      await expect(pair.server).toReach("registered", slowly);
      await etcd.ctl("put", "/web/node2", "localhost:1");
      await expect(pair.web).toConverge(["node1", "node2"], slowly);
      await leaseTime();
      expect([pair.server.state.status, pair.web.state.status]).toEqual(["registered", "live"]);
      expect(pair.changes).toBeConsistent();
    }, 150_000);
  },
);

describe.each(newest())(
  "a registration and a discovery, when certificates change, on $name",
  ({ binary }) => {
    const credentials = (trusted: string, client?: Certificate): Etcd3Credentials => ({
      rootCertificate: Buffer.from(trusted),
      ...(client && { certChain: Buffer.from(client.cert), privateKey: Buffer.from(client.key) }),
    });

    it.concurrent("F53 certificates of the server, the client and the authority rotated: neither notices, nothing is written", async () => {
      const [authority, successor] = await Promise.all([
        CertificateAuthority.create("one"),
        CertificateAuthority.create("two"),
      ]);
      await using etcd = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
      await using proxy = await FaultProxy.start({ target: etcd.endpoint });
      let current = credentials(authority.cert, await authority.client({ user: "web" }));
      await using pair = await Pair.start({
        endpoints: `https://${new URL(proxy.endpoint).host}`,
        credentials: () => current,
      });
      const before = kvOf(await etcd.ctl("get", "/web/node1", "-w=fields"));
      current = credentials(`${authority.cert}\n${successor.cert}`, await authority.client({ user: "web2" }));
      await etcd.useCertificate(await successor.server());
      await leaseTime();
      expect(pair.webStates.statuses, "open connections go on").toEqual(["live"]);
      proxy.reset();
      await expect(pair.web).toReach("stale");
      await expect(pair.web).toReach("live", back);
      await leaseTime();
      expect(pair.serverStates.statuses).toEqual(["registered"]);
      expect(pair.changes.log).toEqual([]);
      await etcd.useCertificate(await authority.server());
      expect(kvOf(await etcd.ctl("get", "/web/node1", "-w=fields"))).toEqual(before);
    });

    it.concurrent("F54 certificates that are no good: both say `tls`, nothing is written, and good ones are taken up", async () => {
      const [authority, stranger] = await Promise.all([
        CertificateAuthority.create("one"),
        CertificateAuthority.create("two"),
      ]);
      await using etcd = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
      const good = credentials(authority.cert, await authority.client({ user: "web" }));
      const expired = await authority.client({ user: "web", notAfter: new Date(Date.now() - 1_000) });
      const bad = {
        "another authority": credentials(stranger.cert, await authority.client({ user: "web" })),
        "no client certificate": credentials(authority.cert),
        "an expired one": credentials(authority.cert, expired),
      };
      await Promise.all(
        Object.entries(bad).map(async ([what, wrong], index) => {
          let current = wrong;
          await using client = createClient({ endpoints: etcd.endpoint, credentials: () => current });
          const server = startRegistration(client, {
            service: "web",
            id: `${index}`,
            address: "localhost:1",
          });
          const web = startDiscovery(client, { service: "web" });
          await vi.waitFor(() => expect([kindOf(server), kindOf(web)], what).toEqual(["tls", "tls"]), 10_000);
          expect([server.state.status, web.state.status]).toEqual(["registering", "syncing"]);
          current = good;
          await expect(server).toReach("registered", slowly);
          await expect(web).toReach("live", slowly);
        }),
      );
      await using plain = createClient({ endpoints: `http://${new URL(etcd.endpoint).host}` });
      const nobody = startRegistration(plain, { service: "web", id: "plain", address: "localhost:1" });
      await pause(3_000);
      expect(nobody.state.status).toBe("registering");
      expect(await etcd.ctl("get", "/web/plain")).toBe("");
    }, 120_000);
  },
);

/** What etcd holds at a key, with its revisions and lease: any write would show. */
function kvOf(fields: string): string[] {
  return fields
    .split("\n")
    .filter((line) => /^"(Key|Value|Lease|Version|CreateRevision|ModRevision)" :/.test(line));
}
