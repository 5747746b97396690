import { createClient, failureOf } from "@sd/core";
import { EtcdProcess, etcdBinaries, eventually, oldestAndNewestEtcd, recordStates } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { type KeyRegistration, registerKey } from "../src/index.js";
import { follow } from "./follow.js";

const auth = { username: "web", password: "s3cret" };
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const isRegistered = ({ state }: KeyRegistration): boolean => state.status === "registered";

/** An etcd whose user `web` may write below `/web/`, and whose tokens live three seconds. */
async function protectedEtcd(binary: string): Promise<EtcdProcess> {
  const etcd = await EtcdProcess.start({ binary, args: ["--auth-token-ttl=3"] });
  for (const command of [
    "user add root:r00t",
    "user grant-role root root",
    "role add web",
    "role grant-permission web --prefix=true readwrite /web/",
    "user add web:s3cret",
    "user grant-role web web",
    "auth enable",
  ]) {
    await etcd.ctl(...command.split(" "));
  }
  return etcd;
}

const asRoot = (etcd: EtcdProcess, command: string): Promise<string> =>
  etcd.ctl("--user=root:r00t", ...command.split(" "));

describe.each(oldestAndNewestEtcd())(
  "a registration with credentials (R18) and no right but to its keys (R19), on $name",
  ({ binary }) => {
    it("F50 token expired, F51 switched off and on: stays registered through it all", async () => {
      await using etcd = await protectedEtcd(binary);
      await using client = createClient({ endpoints: etcd.endpoint, auth });
      const registration = await registerKey(client, { key: "/web/1", value: "1", ttlSeconds: 5 });
      const seen = recordStates(registration);
      const { reflector, keys } = follow(client, "/web/");
      await pause(9_000);
      await registration.update("2");
      await asRoot(etcd, "auth disable");
      await pause(3_000);
      await registration.update("3");
      await etcd.ctl("auth", "enable");
      await pause(6_000);
      await registration.update("4");
      expect(seen.statuses).toEqual(["registered"]);
      const second = await registerKey(client, { key: "/web/2", value: "1", ttlSeconds: 5 });
      await eventually(() => keys.size === 2);
      for (const each of [registration, second])
        expect(await each.close()).toMatchObject({ confirmed: true });
      await eventually(() => keys.size === 0);
      await reflector.close();
    });
  },
);

describe.each(etcdBinaries().slice(-1))("a registration that is shut out (R18), on $name", ({ binary }) => {
  const changePassword = (etcd: EtcdProcess, password: string): Promise<unknown> =>
    asRoot(etcd, "user delete web")
      .then(() => asRoot(etcd, `user add web:${password}`))
      .then(() => asRoot(etcd, "user grant-role web web"));

  it.concurrent.each([
    {
      what: "changed password",
      kind: "auth",
      shut: (etcd: EtcdProcess) => changePassword(etcd, "other"),
      open: (etcd: EtcdProcess) => changePassword(etcd, "s3cret"),
    },
    {
      what: "F52 permission revoked",
      kind: "permission",
      shut: (etcd: EtcdProcess) => asRoot(etcd, "role revoke-permission web /web/ --prefix=true"),
      open: (etcd: EtcdProcess) => asRoot(etcd, `role grant-permission web --prefix=true readwrite /web/`),
    },
  ])(
    "$what: says so, hardly tries, and is back when it is let in",
    async ({ kind, shut, open }) => {
      await using etcd = await protectedEtcd(binary);
      await using client = createClient({ endpoints: etcd.endpoint, auth });
      const registration = await registerKey(client, { key: "/web/1", value: "1", ttlSeconds: 5 });
      let changes = 0;
      registration.subscribe(() => {
        changes += 1;
      });
      await shut(etcd);
      await pause(20_000);
      const { state } = registration;
      expect(state.status).toBe("lost");
      expect(failureOf("error" in state ? state.error : undefined)).toBe(kind);
      expect(changes, "lines in a log").toBeLessThanOrEqual(4);
      await open(etcd);
      await eventually(() => isRegistered(registration), { timeoutMs: 45_000 });
      expect(await registration.close()).toMatchObject({ confirmed: true });
    },
    120_000,
  );
});
