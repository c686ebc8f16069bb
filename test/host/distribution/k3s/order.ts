/** Orders and places for tests of what the driver makes of them. */
import { join } from 'node:path'
import { digest, nodeId } from '../../../../src/core/ids.ts'
import { plainK3s } from '../../../../src/core/k3s.ts'
import type { DatastoreMember } from '../../../../src/core/orders.ts'
import type { K3sOrder } from '../../../../src/host/distribution/k3s/configuration.ts'
import type { Machine } from '../../../../src/host/distribution/k3s/machine.ts'
import { type Places, placesOf } from '../../../../src/host/distribution/k3s/places.ts'

export const member = (name: string, address: string): DatastoreMember => ({
  id: nodeId(`id-${name}`),
  name,
  address,
})

export const MACHINE: Machine = {
  interface: 'muster0',
  lanAddress: '192.168.7.4',
  lanInterface: 'eth0',
  ranges: [{ interface: 'eth0', cidr: '192.168.7.4/24' }],
}

export const CA_HASH = 'c4'.repeat(32)

export function k3sOrder(more: Partial<K3sOrder> = {}): K3sOrder {
  const settings = more.settings ?? plainK3s()
  const self = member('ada', '10.86.0.1')
  return {
    kind: 'k3s',
    role: 'server',
    action: 'run',
    epoch: 1,
    genesis: digest('a1'.repeat(32)),
    self,
    members: [],
    servers: [self],
    clusterId: null,
    gone: [],
    evict: [],
    secret: new Uint8Array(32).fill(7),
    agentSecret: new Uint8Array(32).fill(9),
    settings,
    revision: 1,
    version: null,
    prepare: { revision: 1, settings },
    snapshot: null,
    ...more,
  }
}

/** Everything below this directory. */
export const placesIn = (root: string): Places =>
  placesOf({
    directory: join(root, 'state'),
    runDirectory: join(root, 'run'),
    root,
    dataDirectory: join(root, 'data'),
    binDirectory: null,
  })
