/** Two clients of the package etcd3 contend for a lock and for the lead: `node etcd3-elections.mjs <endpoint>`. */

import { once } from "node:events";
import process from "node:process";
import { Etcd3 } from "etcd3";

const hosts = process.argv[2] ?? "";
const [one, other] = [new Etcd3({ hosts }), new Etcd3({ hosts })];

/** What happened, in its order. @type {string[]} */
const events = [];
const held = await one.lock("mutex").ttl(5).acquire();
events.push("one holds the lock");
const refused = await other
  .lock("mutex")
  .acquire()
  .catch((error) => error.constructor.name);
events.push(refused);
await held.release();
await other.lock("mutex").do(async () => void events.push("the other holds the lock"));

const observer = await one.election("leader", 5).observe();
observer.on("change", (leader) => events.push(`leader: ${leader}`));
const first = one.election("leader", 5).campaign("one");
await once(first, "elected");
const second = other.election("leader", 5).campaign("the other");
const elected = once(second, "elected");
await second.getCampaignKey();
await first.resign();
await elected;
while (!events.includes("leader: the other")) await new Promise((resolve) => setTimeout(resolve, 5));
events.push(`now leads: ${await one.election("leader", 5).leader()}`);
await observer.cancel();
await second.resign();
one.close();
other.close();

process.stdout.write(`${JSON.stringify(events)}\n`);
