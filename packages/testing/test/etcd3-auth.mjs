/** Uses the package etcd3 with name and password: `node etcd3-auth.mjs <endpoint> <username> <password>`. */

import process from "node:process";
import { Etcd3 } from "etcd3";

const [, , hosts = "", username = "", password = ""] = process.argv;
const client = new Etcd3({ hosts, auth: { username, password } });
const refused = (/** @type {Error} */ error) => error.constructor.name;

await client.put("/web/1").value("one");
const read = await client.getAll().prefix("/web/").strings();
const denied = await client.put("/api/1").value("x").catch(refused);
const watcher = await client.watch().prefix("/web/").create();
const seen = new Promise((resolve) => watcher.once("put", ({ key, value }) => resolve(`${key}=${value}`)));
// The test ends all tokens when it reads this; the package then authenticates anew.
process.stdout.write("watching\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
await client.put("/web/2").value("two");
const watched = await seen;
const stranger = new Etcd3({ hosts, auth: { username, password: "wrong" } });
const wrong = await stranger.get("/web/1").string().catch(refused);
stranger.close();
client.close();

process.stdout.write(`${JSON.stringify({ read, denied, watched, wrong })}\n`);
process.exit(0);
