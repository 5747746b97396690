/** Opens as many watches as it is told, each on a stream of its own, and waits to be killed. */
import { Client, credentials } from "@grpc/grpc-js";

const [endpoint = "", count = "1"] = process.argv.slice(2);
const client = new Client(endpoint.replace("http://", ""), credentials.createInsecure());
const identity = (bytes) => bytes;
// A WatchRequest that creates a watch of the key "a".
const create = Buffer.from([10, 3, 10, 1, 97]);
let open = 0;
for (let index = 0; index < Number(count); index += 1) {
  const stream = client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", identity, identity);
  stream.on("error", () => {});
  stream.once("data", () => {
    open += 1;
    if (open === Number(count)) console.log("open");
  });
  stream.write(create);
}
