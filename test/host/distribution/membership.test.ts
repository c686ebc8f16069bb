import { describe, expect, it } from 'vitest'
import { nodeId } from '../../../src/core/ids.ts'
import type { DatastoreMember } from '../../../src/core/orders.ts'
import { type EtcdApi, EtcdApiError, type EtcdMember } from '../../../src/host/distribution/etcd-api.ts'
import {
  Evictor,
  enter,
  type Joining,
  promote,
  removeGone,
} from '../../../src/host/distribution/membership.ts'
import { type Observation, SILENT } from '../../../src/host/distribution/observe.ts'
import { EVICT_AFTER_MS } from '../../../src/host/distribution/timing.ts'

const member = (n: number, more: Partial<EtcdMember> = {}): EtcdMember => ({
  id: `${n}`,
  name: `node-${n}`,
  peerUrls: [`https://10.86.0.${n}:2380`],
  isLearner: false,
  ...more,
})

/** A cluster that has these members, does what it is told, and keeps account of it. */
function cluster(members: EtcdMember[]) {
  const done: string[] = []
  const list = () => ({ clusterId: 'c1', memberId: '1', members })
  const api: EtcdApi = {
    isHealthy: async () => true,
    version: async () => '3.4.23',
    members: async () => list(),
    status: async () => ({ clusterId: 'c1', memberId: '1', hasLeader: true, isLearner: false, errors: [] }),
    addLearner: async (_url, peerUrl) => {
      done.push(`add ${peerUrl}`)
      members.push({ id: '9', name: '', peerUrls: [peerUrl], isLearner: true })
      return list()
    },
    promote: async (_url, id) => {
      done.push(`promote ${id}`)
    },
    remove: async (_url, id) => {
      done.push(`remove ${id}`)
      members.splice(0, members.length, ...members.filter((other) => other.id !== id))
    },
    close: () => undefined,
  }
  return { api, done }
}

const joining = (n: number): Joining => ({
  name: `node-${n}`,
  peerUrl: `https://10.86.0.${n}:2380`,
  clusterId: 'c1',
  members: [{ name: 'node-1', clientUrl: 'https://10.86.0.1:2379' }],
})

describe('entering the datastore', () => {
  it('adds a learner and names all others', async () => {
    const { api, done } = cluster([member(1), member(2)])
    expect(await enter(api, joining(3))).toEqual(['https://10.86.0.1:2380', 'https://10.86.0.2:2380'])
    expect(done).toEqual(['add https://10.86.0.3:2380'])
  })

  it('takes the entry of an attempt that got so far', async () => {
    const { api, done } = cluster([member(1), member(3, { name: '', isLearner: true })])
    expect(await enter(api, joining(3))).toEqual(['https://10.86.0.1:2380'])
    expect(done).toEqual([])
  })

  it('replaces a learner whose data is gone, and never a voter', async () => {
    const { api, done } = cluster([member(1), member(3, { isLearner: true })])
    await enter(api, joining(3))
    expect(done).toEqual(['remove 3', 'add https://10.86.0.3:2380'])
    const voters = cluster([member(1), member(3)])
    await expect(enter(voters.api, joining(3))).rejects.toMatchObject({
      problem: { code: 'datastore.stale-member' },
    })
    expect(voters.done).toEqual([])
  })

  it('touches no cluster but the one of the plan', async () => {
    const { api, done } = cluster([member(1)])
    await expect(enter(api, { ...joining(3), clusterId: 'c2' })).rejects.toMatchObject({
      problem: { code: 'datastore.wrong-cluster' },
    })
    expect(done).toEqual([])
  })

  it('waits while another learner is under way, and until it has caught up itself', async () => {
    const refuse = (refusal: 'too-many-learners' | 'not-in-sync') => async (): Promise<never> => {
      throw new EtcdApiError('MUSTER_E_ETCD_REFUSED', refusal, refusal)
    }
    const { api } = cluster([member(1)])
    const busy = { ...api, addLearner: refuse('too-many-learners'), promote: refuse('not-in-sync') }
    await expect(enter(busy, joining(3))).rejects.toMatchObject({
      problem: { code: 'datastore.change-refused' },
    })
    expect(await promote(busy, joining(3), '9')).toBe(false)
    expect(await promote(api, joining(3), '9')).toBe(true)
  })
})

describe('clearing away leftover learners', () => {
  const known: DatastoreMember[] = [1, 2].map((n) => ({
    id: nodeId(`id-${n}`),
    name: `node-${n}`,
    address: `10.86.0.${n}`,
  }))
  const seen = (members: EtcdMember[]): Observation => ({
    ...SILENT,
    memberId: '1',
    members: members.map((each) => ({ ...each, isHealthy: true })),
  })
  const leftover = member(4, { name: '', isLearner: true })
  const url = 'https://10.86.0.1:2379'

  it('takes one that stays a leftover, not one that has just come', async () => {
    const { api, done } = cluster([member(1), leftover])
    const evictor = new Evictor()
    const at = (now: number) => evictor.evict(api, url, seen([member(1), leftover]), ['node-4'], known, now)
    expect(await at(1_000)).toEqual([])
    expect(await at(1_000 + EVICT_AFTER_MS - 1)).toEqual([])
    expect(done).toEqual([])
    expect(await at(1_000 + EVICT_AFTER_MS)).toEqual(['https://10.86.0.4:2380'])
    expect(done).toEqual(['remove 4'])
  })

  it('counts anew when it was gone in between, or nobody is to be cleared away', async () => {
    const { api, done } = cluster([member(1), leftover])
    const evictor = new Evictor()
    const look = (now: number, members: EtcdMember[], names = ['node-4']) =>
      evictor.evict(api, url, seen(members), names, known, now)
    await look(0, [member(1), leftover])
    await look(5_000, [member(1)])
    expect(await look(EVICT_AFTER_MS, [member(1), leftover])).toEqual([])
    await look(EVICT_AFTER_MS + 5_000, [member(1), leftover], [])
    expect(await look(2 * EVICT_AFTER_MS, [member(1), leftover])).toEqual([])
    expect(done).toEqual([])
  })

  it('never takes a voter, itself, a member of the plan, or a learner of another name', async () => {
    const members = [
      member(1, { isLearner: true }),
      member(2, { isLearner: true }),
      member(4),
      member(5, { isLearner: true }),
    ]
    const { api, done } = cluster(members)
    const evictor = new Evictor()
    for (const now of [0, EVICT_AFTER_MS]) {
      await evictor.evict(api, url, seen(members), ['node-1', 'node-2', 'node-4'], known, now)
    }
    expect(done).toEqual([])
  })
})

describe('taking out who left', () => {
  const known: DatastoreMember[] = [{ id: nodeId('id-2'), name: 'node-3', address: '10.86.0.2' }]
  const seen = (members: EtcdMember[]): Observation => ({
    ...SILENT,
    answers: true,
    memberId: '1',
    members: members.map((each) => ({ ...each, isHealthy: true })),
  })

  it('removes voters by name, but neither itself nor who bears the name now', async () => {
    const members = [member(1), member(2, { name: 'node-3' }), member(3), member(4)]
    const { api, done } = cluster(members)
    const names = ['node-1', 'node-3']
    expect(await removeGone(api, 'https://10.86.0.1:2379', seen(members), names, known)).toEqual(['node-3'])
    expect(done).toEqual(['remove 3'])
  })
})
