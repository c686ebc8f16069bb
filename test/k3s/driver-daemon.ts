/**
 * A daemon that has nothing but the driver of k3s: started on a machine with one argument, a JSON object of the
 * driver's options. Reads orders and writes facts and events, one JSON document a line.
 */
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { digest, nodeId } from '../../src/core/ids.ts'
import { k3sSettingsSchema } from '../../src/core/k3s.ts'
import { startDistribution } from '../../src/host/distribution/distribution.ts'

const Options = z.object({
  directory: z.string(),
  runDirectory: z.string(),
  dataDirectory: z.string(),
  binary: z.string().nullable(),
  externalDatastore: z.string().nullable(),
})
const Bytes = z.array(z.number()).transform((bytes) => Uint8Array.from(bytes))
const Member = z.object({ id: z.string().transform(nodeId), name: z.string(), address: z.string() })
const Order = z.object({
  kind: z.literal('k3s'),
  role: z.enum(['server', 'agent']),
  action: z.enum(['initialise', 'join', 'run', 'stop']),
  epoch: z.number(),
  genesis: z.string().transform(digest),
  self: Member,
  members: z.array(Member),
  servers: z.array(Member),
  clusterId: z.string().nullable(),
  gone: z.array(z.string()),
  evict: z.array(z.string()),
  secret: Bytes.nullable(),
  agentSecret: Bytes.nullable(),
  settings: k3sSettingsSchema,
  revision: z.number(),
  version: z.string().nullable(),
  prepare: z.object({ revision: z.number(), settings: k3sSettingsSchema }),
  snapshot: z.string().nullable(),
})

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

const { directory, runDirectory, ...machine } = Options.parse(JSON.parse(process.argv[2] ?? ''))
const driver = startDistribution({
  expected: 'k3s',
  directory: `${directory}/etcd`,
  runDirectory,
  k3s: {
    ...machine,
    directory,
    root: '/',
    hooks: { before: [], after: [] },
    binDirectory: null,
    ensure: null,
    serviceManager: 'own',
    clusterName: 'test',
  },
  onFacts: (facts) => say({ facts }),
  log: (level, event, fields) => say({ level, event, fields }),
  count: () => undefined,
})
say({ facts: driver.facts() })
for await (const line of createInterface({ input: process.stdin }))
  driver.apply(Order.parse(JSON.parse(line)))
// Who ordered is gone: k3s, too.
await driver.stop()
