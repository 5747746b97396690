// A process that registers 200 instances of a service, says so, and stays.
import process from "node:process";
import { createClient } from "@sd/core";
import { registerAll } from "@sd/register";

const [endpoint, service, ttlSeconds] = process.argv.slice(2);
const client = createClient({ endpoints: [endpoint] });
const instances = Array.from({ length: 200 }, (_, index) => ({
  service,
  id: `node-${index}`,
  address: `host-${index}:80`,
}));
await registerAll(client, { instances, ttlSeconds: Number(ttlSeconds) });
process.stdout.write("registered\n");
