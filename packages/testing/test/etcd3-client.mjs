/** Uses the package etcd3 as its readme does, and prints what came of it: `node etcd3-client.mjs <endpoint>`. */

import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { Etcd3 } from "etcd3";

const client = new Etcd3({ hosts: process.argv[2] ?? "" });

const watcher = await client.watch().prefix("/a/").create();
/** @type {string[]} */
const seen = [];
watcher.on("put", ({ key, value }) => seen.push(`${key}=${value}`));
await client.put("/a/1").value("one");
await client.if("/a/1", "Version", "==", 1).then(client.put("/a/2").value("two")).commit();
const read = await client.getAll().prefix("/a/").strings();
while (seen.length < 2) await pause(5);
await watcher.cancel();

const lease = client.lease(10);
await lease.put("/l").value("x");
const id = await lease.grant();
const { leases } = await client.leaseClient.leaseLeases();
await lease.keepaliveOnce();
const leased = await client.get("/l").string();
await lease.revoke();
const afterRevoke = await client.get("/l").string();

const lock = await client.lock("mutex").acquire();
const lockWhileHeld = await client
  .lock("mutex")
  .acquire()
  .then(
    () => "acquired",
    (error) => error.constructor.name,
  );
await lock.release();

const election = client.election("leader", 5);
const campaign = election.campaign("me");
await new Promise((resolve, reject) => campaign.once("elected", resolve).once("error", reject));
const leader = await election.leader();
await campaign.resign();
client.close();

const result = {
  read,
  seen,
  lease: id,
  leases: leases.map(({ ID }) => ID),
  leased,
  afterRevoke,
  lockWhileHeld,
  leader,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
