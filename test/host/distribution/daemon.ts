/**
 * A daemon that has nothing but the driver, to be killed: started with one argument, a JSON object of the
 * driver's options and its order. Writes every event's name to standard output.
 */
import { z } from 'zod'
import { digest, nodeId } from '../../../src/core/ids.ts'
import { startDistribution } from '../../../src/host/distribution/distribution.ts'

const memberSchema = z.object({ id: z.string().transform(nodeId), name: z.string(), address: z.string() })
const jobSchema = z.object({
  directory: z.string(),
  runDirectory: z.string(),
  etcdBinary: z.string(),
  clientPort: z.number(),
  peerPort: z.number(),
  order: z.object({
    kind: z.literal('etcd'),
    action: z.enum(['initialise', 'join', 'run', 'stop']),
    epoch: z.number(),
    genesis: z.string().transform(digest),
    self: memberSchema,
    members: z.array(memberSchema),
    clusterId: z.string().nullable(),
    gone: z.array(z.string()),
    evict: z.array(z.string()),
    secret: z.array(z.number()).transform((bytes) => Uint8Array.from(bytes)),
  }),
})

const { order, ...options } = jobSchema.parse(JSON.parse(process.argv[2] ?? ''))
const driver = startDistribution({
  ...options,
  onFacts: () => undefined,
  log: (_level, event) => process.stdout.write(`${event}\n`),
  count: () => undefined,
})
driver.apply(order)
setInterval(() => undefined, 60_000)
