/** Real mDNS between hosts on one switch: loopback has no multicast. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Host, makeAgents } from './agents.ts'

const agents = makeAgents()
/** How long a test waits before it calls what it waits for missing: no statement about speed. */
const SOON = { timeout: 20_000, interval: 50 }

/**
 * Three of one token, one of another, and one of a third whose machine has no route for multicast: it hears what
 * others ask, though it cannot ask, so that with our token it would find us now and then.
 */
let ours: Host[] = []
let foreign: Host | undefined
let routeless: Host | undefined

beforeAll(async () => {
  ours = [await agents.host(), await agents.host(), await agents.host()]
  foreign = await agents.host({ token: 8 })
  routeless = await agents.host({ token: 9, hasRoute: false })
  await Promise.all([...ours, foreign, routeless].map(({ agent }) => agent.start()))
}, 30_000)
afterAll(() => agents.end())

const others = (host: Host) =>
  ours
    .filter((other) => other !== host)
    .map(({ agent }) => agent.id())
    .sort()

describe('mDNS', { timeout: 60_000 }, () => {
  it('three hosts that start together find each other', async () => {
    for (const host of ours) {
      await vi.waitFor(() => expect(host.agent.connected()).toEqual(others(host)), SOON)
    }
  })

  it('each pair keeps one connection', async () => {
    for (const host of ours) {
      const sockets = (): number =>
        host.exec(`ss -Htn state established '( sport = :7946 or dport = :7946 )'`).trim().split('\n').length
      await vi.waitFor(() => expect(sockets()).toBe(2), SOON)
    }
    expect(ours.flatMap(({ agent }) => agent.history.filter(({ kind }) => kind === 'disconnected'))).toEqual(
      [],
    )
  })

  it('a host with another token neither sees nor is seen', () => {
    expect(foreign?.agent.connected()).toEqual([])
    expect(ours.map(({ agent }) => agent.counts('network.stranger'))).toEqual([0, 0, 0])
  })

  it('a host without a route for multicast says so, with cause and cure; others do not', async () => {
    await vi.waitFor(async () => {
      const problems = (await routeless?.agent.problems()) ?? []
      expect(problems.map(({ code }) => code)).toEqual(['network.no-multicast-route'])
      expect(problems[0]?.hint).toContain('ip route add 224.0.0.0/4 dev')
    }, SOON)
    for (const { agent } of ours) expect(await agent.problems()).toEqual([])
  })

  it('a machine that answers with broken packets disturbs nobody', async () => {
    const parrot = await agents.host({ token: 10 })
    const script = `${import.meta.dirname}/parrot.ts`
    const heard = parrot.exec(`${process.execPath} ${script} _lab7._udp.local ${parrot.ip} 3000`)
    expect(Number(heard)).toBe(3)
    for (const host of ours) {
      // Whoever had died would not answer.
      expect(await host.agent.problems()).toEqual([])
      expect(host.agent.connected()).toEqual(others(host))
    }
  })

  it('a newcomer is found though everybody has become quiet', async () => {
    const late = await agents.host()
    await late.agent.start()
    const all = ours.map(({ agent }) => agent.id()).sort()
    await vi.waitFor(() => expect(late.agent.connected()).toEqual(all), SOON)
  })

  it('a host that stops ends, with nothing left to keep it alive', async () => {
    const [host] = ours
    await host?.agent.stop()
  })
})
