/** The hazards of who is in and who serves, as stories (DESIGN.md section 17: 14, 15, 16, 20, 23, 27). */
import { describe, expect, test } from 'vitest'
import { machines, type Story } from '../../sim/scenario.ts'
import type { Fault } from '../../sim/schedule.ts'
import { crash, ends, planOf, play, problemsOf, stageOf } from './play.ts'

const dies = (at: number, machine: number): Fault => ({ at, machine, kind: 'dies' })
const command = (
  at: number,
  machine: number,
  verb: Extract<Fault, { kind: 'command' }>['verb'],
  other: number,
): Fault => ({ at, machine, other, kind: 'command', verb, as: 'server', lawful: true })

/** Three servers and two agents that may take their place, in a cluster with a datastore. */
const five: Story = {
  expect: 5,
  machines: machines(5),
  servers: 3,
  membership: { promote: 'any', replaceAfterMs: 20_000 },
}

async function roles(): Promise<{ readonly servers: number[]; readonly agents: number[] }> {
  const played = await play({ ...five, calmAt: 60_000 })
  const { voters } = planOf(played.machine(0))
  const all = [0, 1, 2, 3, 4]
  const isServer = (i: number): boolean => voters.includes(played.machine(i).keys.id)
  return { servers: all.filter(isServer), agents: all.filter((i) => !isServer(i)) }
}

describe('servers lost', () => {
  test('14: two of three are gone: nothing is done by itself, and status says what is missing', async () => {
    const { servers } = await roles()
    const [one, two, three] = servers
    if (one === undefined || two === undefined || three === undefined) throw new Error('no servers')
    const faults = [dies(60_000, one), dies(60_000, two)]
    const played = await play({ ...five, faults, calmAt: 61_000, endAt: 300_000 })
    expect(planOf(played.machine(three)).departed).toEqual([])
    expect(planOf(played.machine(three)).voters).toHaveLength(3)
    expect(problemsOf(played.machine(three))).toContain('leader.none')
  })

  test('15: a dead one is replaced only after its removal from datastore and voters', async () => {
    const { servers } = await roles()
    const [gone] = servers
    if (gone === undefined) throw new Error('no server')
    const played = await play({ ...five, faults: [dies(60_000, gone)], calmAt: 61_000 })
    ends(played)
    const plan = planOf(played.machine(servers[1] ?? 0))
    expect(plan.departed).toMatchObject([{ id: played.machine(gone).keys.id, why: 'dead' }])
    expect(plan.datastore.members).toHaveLength(3)
    expect(played.count('datastore members removed')).toBe(1)
    const causes = plan.history.map(({ cause }) => cause)
    const order = ['replace-dead', 'datastore-left', 'left', 'promote', 'join', 'joined']
    expect(causes.slice(-order.length)).toEqual(order)
  })

  test('16: one that comes and goes stays', async () => {
    const { servers } = await roles()
    const [flapping] = servers
    if (flapping === undefined) throw new Error('no server')
    const faults = [0, 1, 2, 3, 4].map((i) => crash(60_000 + i * 25_000, flapping, 14_000))
    const played = await play({ ...five, faults, calmAt: 200_000 })
    ends(played)
    expect(planOf(played.machine(flapping)).departed).toEqual([])
    expect(played.count('removals begun')).toBe(0)
  })

  test('23: the act on a server that is gone is finished by whoever leads, and a person can break any', async () => {
    const { servers } = await roles()
    const [gone, leader] = servers
    if (gone === undefined || leader === undefined) throw new Error('no servers')
    const faults: Fault[] = [
      dies(60_000, gone),
      {
        at: 79_000,
        machine: 0,
        kind: 'hunt',
        ms: 20_000,
        everyMs: 700,
        how: 'crash',
        offMs: 6_000,
        perMille: 1_000,
        once: true,
      },
    ]
    const played = await play({ ...five, faults, calmAt: 110_000 })
    ends(played)
    const plan = planOf(played.machine(leader))
    expect(plan.act).toBeNull()
    expect(plan.voters).toHaveLength(3)
    expect(plan.voters).not.toContain(played.machine(gone).keys.id)
  })

  test('27: one sleeps while another is removed; it wakes, verifies the chain, and follows', async () => {
    const { servers } = await roles()
    const [sleeper, gone, giver] = servers
    if (sleeper === undefined || gone === undefined || giver === undefined) throw new Error('no servers')
    const story: Story = { ...five, membership: { promote: 'any', replaceAfterMs: 0 } }
    const faults = [command(60_000, giver, 'remove', gone), crash(75_000, sleeper, 30_000)]
    const played = await play({ ...story, faults, calmAt: 106_000 })
    ends(played)
    const plan = planOf(played.machine(sleeper))
    expect(plan.voters).not.toContain(played.machine(gone).keys.id)
    expect(played.machine(sleeper).disk.durable?.certified?.chain.length).toBeGreaterThan(0)
  })
})

describe('who was put out', () => {
  test('20: the revoked stays out, and with a new key it waits for a person', async () => {
    const { servers, agents } = await roles()
    const [giver] = servers
    const [out] = agents
    if (giver === undefined || out === undefined) throw new Error('no agent')
    const faults: Fault[] = [
      command(60_000, giver, 'revoke', out),
      { at: 80_000, machine: out, kind: 'wipe', offMs: 1_000 },
    ]
    const played = await play({ ...five, faults, calmAt: 82_000 })
    ends(played)
    const plan = planOf(played.machine(giver))
    const back = played.machine(out)
    expect(plan.departed.map(({ id }) => id)).toEqual(back.formerIds)
    expect(plan.members.map(({ id }) => id)).not.toContain(back.keys.id)
    expect(stageOf(back)).toBe('joining')
    expect(problemsOf(played.machine(giver))).toContain('node.pending')
  })
})
