/** The DHT as a reader sees it: the last value put under a key, whoever put it, after a while, or nothing. */
import type { Digest } from '../src/core/ids.ts'
import type { LeaderRecord } from '../src/core/leader-record.ts'
import type { Machine } from './machine.ts'
import type { World } from './world.ts'

export interface Dht {
  publish(record: LeaderRecord): void
  lookup(machine: Machine, genesis: Digest): void
}

const LOOKUP_MS = [100, 400, 2_000] as const

export function createDht(world: World): Dht {
  const values = new Map<Digest, LeaderRecord[]>()
  return {
    publish: (record) => {
      values.set(record.era, [...(values.get(record.era) ?? []), record].slice(-3))
    },
    lookup: (machine, genesis) => {
      if (world.network.peersOf(machine.index).length === 0) return
      world.at(world.now + world.random.pick(LOOKUP_MS), () => {
        const records = values.get(genesis) ?? []
        if (records.length > 0) machine.handle({ kind: 'leader-records', records })
      })
    },
  }
}
