import {
  type Clock,
  createClient,
  type DuplexStream,
  type Etcd3TransportOptions,
  type EtcdClient,
  type EtcdTransport,
} from "@sd/core";
import { overrideTransport } from "@sd/testing";
import type { Request } from "../link.js";
import { Renewals } from "./renewals.js";
import type { Zone } from "./site.js";

/** How it gets in. */
export type Credentials = Pick<Etcd3TransportOptions, "auth" | "credentials">;

/** A process of its own: a client in one place, each of whose requests is seen as it leaves. */
export class Party {
  readonly client: EtcdClient;
  readonly zone: Zone;
  readonly renewals: Renewals;
  readonly #transport: EtcdTransport;
  /** Where its newest watch stream leads. */
  watchEndpoint: string | undefined;
  /** Called when it has opened a watch stream. */
  onWatch: () => void = () => {};

  constructor(
    zone: Zone,
    credentials: Credentials,
    clock: Pick<Clock, "now">,
    see: (request: Request) => () => void,
  ) {
    this.zone = zone;
    this.renewals = new Renewals(clock);
    const { transport } = createClient({ endpoints: zone.endpoints, ...credentials });
    this.#transport = transport;
    const seen = overrideTransport(transport, {
      range: (request, options) => transport.range(request, options).finally(see({ verb: "range", request })),
      txn: (request, options) => transport.txn(request, options).finally(see({ verb: "txn", request })),
      grant: async (request, options) => {
        const sentAt = clock.now();
        const done = see({ verb: "grant", request });
        const granted = await transport.grant(request, options).finally(done);
        this.renewals.confirm(request.id, sentAt, granted.ttlSeconds);
        return granted;
      },
      revoke: (id, options) => {
        this.renewals.end(id);
        return transport.revoke(id, options).finally(see({ verb: "revoke", request: { id } }));
      },
      keepAlive: async (handlers, options) => {
        this.renewals.begin();
        const onMessage: typeof handlers.onMessage = (message) => {
          this.renewals.answer(message.id, message.ttlSeconds);
          handlers.onMessage(message);
        };
        const stream = await transport.keepAlive({ ...handlers, onMessage }, options);
        return onSend(stream, (request) => {
          this.renewals.send(request.id);
          see({ verb: "renew", request });
        });
      },
      watch: async (handlers, options) => {
        const stream = await transport.watch(handlers, options);
        this.watchEndpoint = stream.endpoint;
        this.onWatch();
        return onSend(stream, (request) => see({ verb: "watchRequest", request }));
      },
    });
    this.client = createClient({ transport: seen });
  }

  /** It is gone from one moment to the next: nothing leaves it any more. What it holds in ours is freed. */
  async crash(): Promise<void> {
    await this.#transport.close();
    await this.client.close();
  }
}

function onSend<Message>(
  stream: DuplexStream<Message>,
  see: (message: Message) => void,
): DuplexStream<Message> {
  return new Proxy(stream, {
    get(target, name) {
      if (name === "send") {
        return (message: Message) => {
          see(message);
          target.send(message);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
