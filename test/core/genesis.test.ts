import { describe, expect, test } from 'vitest'
import { genesisIdOf, verifyCertifiedGenesis } from '../../src/core/genesis.ts'
import { cast, formed, genesisIn, planIn } from './cast.ts'

async function made(count = 5) {
  const stage = await formed({ count })
  const actor = stage.actor(0)
  const { genesis, certificate, id } = genesisIn(actor)
  const { networkId } = actor.settings
  const holds = (certified: { genesis: typeof genesis; certificate: typeof certificate }) =>
    verifyCertifiedGenesis(actor.keys.crypto, networkId, certified)
  return { stage, actor, genesis, certificate, id, holds }
}

describe('a genesis', () => {
  test('and its certificate prove each other, alone', async () => {
    const { genesis, certificate, id, holds } = await made()
    expect(holds({ genesis, certificate })).toBe(id)
  })

  test('is not proven by fewer than a quorum, nor by one founder many times', async () => {
    const { genesis, certificate, holds } = await made()
    const [one] = certificate.acceptances
    if (one === undefined) throw new Error('no acceptance')
    const with_ = (acceptances: typeof certificate.acceptances) =>
      holds({ genesis, certificate: { ...certificate, acceptances } })
    expect(with_(certificate.acceptances.slice(0, 4))).not.toBeNull()
    expect(with_(certificate.acceptances.slice(0, 3))).toBeNull()
    expect(with_([one, one, one, one, one])).toBeNull()
  })

  test('is not proven by acceptances of another term, or for another network or expect', async () => {
    const { genesis, certificate, holds, id } = await made()
    expect(holds({ genesis, certificate: { ...certificate, term: certificate.term + 1 } })).toBeNull()
    expect(holds({ genesis: { ...genesis, networkId: id }, certificate })).toBeNull()
    expect(holds({ genesis: { ...genesis, expect: 1 }, certificate })).toBeNull()
  })

  test('has one name, whatever its term and certificate', async () => {
    const { actor, genesis, id } = await made()
    expect(genesisIdOf(actor.keys.crypto, genesis)).toBe(id)
    expect(genesisIdOf(actor.keys.crypto, { ...genesis, nextAddress: genesis.nextAddress + 1 })).not.toBe(id)
  })

  test.each([
    [1, 1],
    [2, 1],
    [3, 3],
    [6, 3],
    [7, 5],
    [9, 5],
  ])('of %i machines has %i servers', async (count, servers) => {
    const { genesis } = await made(count)
    expect(genesis.voters).toHaveLength(servers)
    expect(genesis.members.filter(({ role }) => role === 'server').map(({ id }) => id)).toEqual(
      genesis.voters,
    )
  })

  test('gives every founder an address of its own and equal names an ending', async () => {
    const stage = await formed({ count: 6, claim: () => ({ name: 'node' }) })
    const { members, nextAddress } = genesisIn(stage.actor(0)).genesis
    expect(new Set(members.map(({ address }) => address)).size).toBe(6)
    expect(new Set(members.map(({ name }) => name)).size).toBe(6)
    expect(members.every(({ name }) => name === 'node' || name.startsWith('node-'))).toBe(true)
    expect(nextAddress).toBe(7)
  })

  test('has as servers those that would rather be, then the larger machines', async () => {
    const stage = await formed({
      count: 5,
      claim: (i) =>
        i === 0 ? { serverPreference: 'avoid', cpus: 64 } : i === 4 ? { serverPreference: 'prefer' } : {},
    })
    const { voters } = genesisIn(stage.actor(0)).genesis
    expect(voters).toContain(stage.actor(4).id)
    expect(voters).not.toContain(stage.actor(0).id)
  })

  test('has no server among those that must never be one, and fewer servers rather than such', async () => {
    const stage = await formed({
      count: 5,
      claim: (i) => (i < 3 ? { serverPreference: 'never', cpus: 64 } : {}),
    })
    const { voters } = genesisIn(stage.actor(0)).genesis
    expect(voters).toHaveLength(1)
    expect([stage.actor(3).id, stage.actor(4).id]).toContain(voters[0])
  })

  test('has its servers’ secret sealed to each of them and to nobody else', async () => {
    const { stage, genesis } = await made()
    const context = `servers ${stage.actor(0).settings.networkId}`
    const opened = stage.actors.map(({ id, keys }) =>
      genesis.secrets.map(({ node, sealed }) => [
        node === id,
        keys.crypto.open(context, sealed)?.length ?? null,
      ]),
    )
    for (const list of opened) for (const [isOwn, length] of list) expect(length).toBe(isOwn ? 32 : null)
    expect(genesis.secrets.map(({ node }) => node)).toEqual(genesis.voters)
  })

  test('is plan 0 of whoever holds it', async () => {
    const { stage, id } = await made()
    for (const actor of stage.actors) expect(planIn(actor).plan.era).toBe(id)
  })

  test('made on another day has another secret', async () => {
    const one = await made(3)
    const two = await cast({ count: 3, off: () => true })
    two.pass(86_400_000)
    for (const actor of two.actors) two.switchOn(actor)
    two.until(() => two.actors.every(({ state }) => state.genesisId !== null))
    expect(genesisIn(two.actor(0)).id).not.toBe(one.id)
  })
})
