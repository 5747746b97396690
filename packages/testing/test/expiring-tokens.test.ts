import { createClient, type EtcdClient, servicePrefix } from "@sd/core";
import { discover } from "@sd/discover";
import { register } from "@sd/register";
import { beforeEach, describe, expect, it } from "vitest";
import { behaviours, type EtcdVersion, ManualClock, MemoryEtcd, SeededRandom } from "../src/index.js";

const service = "web";
const prefix = servicePrefix(service);
const HOUR_MS = 3_600_000;

describe.each(Object.keys(behaviours) as EtcdVersion[])(
  "on an etcd like %s with tokens that end",
  (version) => {
    let clock: ManualClock;
    let etcd: MemoryEtcd;
    const clients: EtcdClient[] = [];

    beforeEach(() => {
      clock = new ManualClock();
      etcd = new MemoryEtcd({ clock, version });
      for (const [name, access] of [
        ["registrar", "readWrite"],
        ["reader", "read"],
      ] as const) {
        etcd.auth.addRole(name, { access, prefix });
        etcd.auth.addUser(name, { password: name, roles: [name] });
      }
      return async () => {
        await Promise.all(clients.splice(0).map((client) => client.close()));
        expect(etcd.openStreams).toBe(0);
        await etcd.close();
        expect(clock.pending).toBe(0);
      };
    });

    function clientOf(username: string): EtcdClient {
      const transport = etcd.transport({ auth: { username, password: username } });
      const client = createClient({ transport, clock, random: new SeededRandom(clients.length) });
      clients.push(client);
      return client;
    }

    const registered = () =>
      register(clientOf("registrar"), { service, id: "node1", address: "localhost:8000", ttlSeconds: 10 });

    it("stays registered and found for an hour, without a write, and sees changes at once (R18, F50)", async () => {
      etcd.auth.enable();
      const registration = await registered();
      const discovery = await discover(clientOf("reader"), { service });
      const { revision } = etcd;
      for (let passed = 0; passed < HOUR_MS; passed += 45_000) {
        await clock.advance(45_000);
        etcd.expireTokens();
      }
      await clock.advance(45_000);
      expect([registration.state.status, discovery.state.status]).toEqual(["registered", "live"]);
      expect(etcd.revision).toBe(revision);
      etcd.put(`${prefix}node2`, "localhost:8001");
      await clock.settle();
      expect(discovery.snapshot.instances.map(({ id }) => id)).toEqual(["node1", "node2"]);
      // One for what each has asked for since: not one for each second of an hour.
      expect(etcd.callsOf("authenticate").length).toBeLessThan(400);
    });

    it("comes back after a broken connection, with new tokens (R18, F50)", async () => {
      etcd.auth.enable();
      const registration = await registered();
      const discovery = await discover(clientOf("reader"), { service });
      await clock.advance(1_000);
      etcd.expireTokens();
      etcd.cut();
      etcd.put(`${prefix}node2`, "localhost:8001");
      await clock.advance(5_000);
      expect([registration.state.status, discovery.state.status]).toEqual(["registered", "live"]);
      expect(discovery.snapshot.instances).toHaveLength(2);
    });

    it("goes on when authentication is switched on and off under way (F51)", async () => {
      const registration = await registered();
      const discovery = await discover(clientOf("reader"), { service });
      for (let turn = 0; turn < 5; turn += 1) {
        etcd.auth.enable();
        await clock.advance(20_000);
        etcd.cut();
        await clock.advance(20_000);
        expect([registration.state.status, discovery.state.status]).toEqual(["registered", "live"]);
        etcd.auth.disable();
        await clock.advance(20_000);
      }
      expect(discovery.snapshot.instances).toHaveLength(1);
    });
  },
);
