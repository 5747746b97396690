/** What grpc-js alone can do: answers a call with as many bytes as etcd does, and tells each stream of it. */
import grpc from "@grpc/grpc-js";

const identity = (bytes) => bytes;
const method = (path, isStream) => ({
  path,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});
const streams = new Set();
const server = new grpc.Server();
server.addService(
  { put: method("/etcdserverpb.KV/Put", false), watch: method("/etcdserverpb.Watch/Watch", true) },
  {
    put: ({ request }, callback) => {
      callback(null, Buffer.alloc(30));
      const event = Buffer.concat([Buffer.from([0x5a, request.length]), request]);
      for (const stream of streams) stream.write(event);
    },
    watch: (stream) => {
      streams.add(stream);
      stream.on("data", () => stream.write(Buffer.alloc(0)));
      stream.on("cancelled", () => streams.delete(stream));
    },
  },
);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`ready on http://127.0.0.1:${port}`);
});
