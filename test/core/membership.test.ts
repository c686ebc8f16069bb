/** Who is in and who serves: voters that change one at a time, servers that leave in an act, the dead replaced. */
import { describe, expect, test } from 'vitest'
import { statusOf } from '../../src/core/report.ts'
import { type Actor, type Cast, formed, isFormed, leaderOf, planIn, sent } from './cast.ts'

const roleOf = (stage: Cast, of: Actor): string | undefined =>
  planIn(leaderOf(stage)).plan.members.find(({ id }) => id === of.id)?.role
const serversOf = (stage: Cast): string[] => planIn(leaderOf(stage)).plan.voters.map(String)
const agentsOf = (stage: Cast): Actor[] =>
  stage.actors.filter((actor) => actor.isOn && roleOf(stage, actor) === 'agent')
const settle = (stage: Cast): void => {
  stage.until(() => isFormed(stage) && stage.actors.filter(({ isOn }) => isOn).every(isReady))
}
const isReady = (actor: Actor): boolean => actor.state.mesh.up && actor.state.meshed
const command = (
  stage: Cast,
  at: Actor,
  what: object,
): { ok: boolean; message: string; hint: string | null } => {
  const request = `r${stage.now}.${at.effects.length}`
  stage.tell(at, {
    kind: 'command',
    request,
    command: what as never,
    who: 'root',
    why: 'a test',
    operator: null,
  })
  const find = () => at.effects.find((effect) => effect.kind === 'answer' && effect.request === request)
  stage.until(() => find() !== undefined)
  const found = find()
  if (found?.kind !== 'answer') throw new Error('no answer')
  return found
}
const givenTo = (stage: Cast, verb: object): ReturnType<typeof command> =>
  command(stage, leaderOf(stage), verb)

async function threeAndTwo(cluster: object = {}): Promise<Cast> {
  const stage = await formed({
    count: 5,
    cluster: { servers: 3, promote: 'any', replaceAfterMs: 10_000, ...cluster },
  })
  settle(stage)
  stage.until(() => agentsOf(stage).length === 2)
  stage.pass(5_000)
  return stage
}

describe('a dead server', () => {
  test('is taken out after its grace, and a spare takes its place', async () => {
    const stage = await threeAndTwo()
    const dead = stage.actors.find((actor) => actor !== leaderOf(stage) && roleOf(stage, actor) === 'server')
    if (dead === undefined) throw new Error('no server')
    stage.switchOff(dead)
    stage.pass(8_000)
    expect(serversOf(stage)).toContain(dead.id)
    stage.until(() => !serversOf(stage).includes(dead.id) && serversOf(stage).length === 3)
    const { plan, chain } = planIn(leaderOf(stage))
    expect(plan.departed).toMatchObject([{ id: dead.id, why: 'dead' }])
    expect(plan.members.map(({ id }) => id)).not.toContain(dead.id)
    expect(chain.length).toBeGreaterThan(0)
    // It learns that it is out, says so, and asks for nothing any more.
    stage.switchOn(dead)
    stage.until(() => dead.state.blocked?.code === 'node.removed')
    expect(statusOf(dead.state, stage.now).problems[0]?.hint).toContain('muster reset')
  })

  test('that comes and goes is not dead', async () => {
    const stage = await threeAndTwo()
    const [flapping] = stage.actors.filter(
      (actor) => actor !== leaderOf(stage) && roleOf(stage, actor) === 'server',
    )
    if (flapping === undefined) throw new Error('no server')
    for (let i = 0; i < 6; i++) {
      stage.switchOff(flapping)
      stage.pass(7_000)
      stage.switchOn(flapping)
      stage.pass(6_000)
    }
    expect(serversOf(stage)).toContain(flapping.id)
    expect(planIn(leaderOf(stage)).plan.departed).toEqual([])
  })

  test('stays where a quorum is lost with it', async () => {
    const two = await threeAndTwo()
    const gone = two.actors.filter((actor) => actor !== leaderOf(two) && roleOf(two, actor) === 'server')
    const before = planIn(leaderOf(two)).index
    for (const actor of gone) two.switchOff(actor)
    two.pass(60_000)
    const last = two.actors.find((actor) => actor.isOn && planIn(actor).plan.voters.includes(actor.id))
    expect(last === undefined ? 0 : planIn(last).index).toBe(before)
  })
})

describe('the voters', () => {
  test('grow from one to three through two, the newcomer signing first', async () => {
    const stage = await formed({
      count: 3,
      expect: 1,
      cluster: { servers: 3, promote: 'any' },
      off: (index) => index > 0,
    })
    const only = leaderOf(stage)
    for (const actor of stage.actors.slice(1)) stage.switchOn(actor)
    stage.until(() => serversOf(stage).length === 3)
    const { chain, plan } = planIn(leaderOf(stage))
    expect([...chain.map(({ voters }) => voters.length), plan.voters.length].slice(-2)).toEqual([2, 3])
    const first = sent(only, 'offer').find(({ causes }) => causes.some(({ what }) => what.kind === 'promote'))
    const second = stage.actors.slice(1).flatMap((actor) => sent(actor, 'signed'))
    expect(first).toBeDefined()
    expect(second.some(({ index }) => index === first?.index)).toBe(true)
  })

  test('of one stay one where the second never signs, and the first goes on', async () => {
    const stage = await formed({
      count: 3,
      expect: 1,
      cluster: { servers: 3, promote: 'any' },
      off: (i) => i > 0,
    })
    const only = leaderOf(stage)
    stage.drop = (_from, _to, message) => message.kind === 'signed'
    for (const actor of stage.actors.slice(1)) stage.switchOn(actor)
    stage.pass(60_000)
    expect(leaderOf(stage)).toBe(only)
    expect(serversOf(stage)).toEqual([only.id])
    stage.drop = () => false
    stage.until(() => serversOf(stage).length === 3)
  })

  test('that left cannot disturb, and a sleeper learns who they are now', async () => {
    const stage = await threeAndTwo()
    const [sleeper, dead] = stage.actors.filter(
      (actor) => actor !== leaderOf(stage) && roleOf(stage, actor) === 'server',
    )
    if (sleeper === undefined || dead === undefined) throw new Error('no servers')
    expect(givenTo(stage, { verb: 'remove', node: dead.id }).ok).toBe(true)
    stage.until(() => serversOf(stage).length === 3 && !serversOf(stage).includes(dead.id))
    stage.switchOff(sleeper)
    stage.until(() => !serversOf(stage).includes(sleeper.id) && serversOf(stage).length >= 2)
    const leader = leaderOf(stage)
    stage.switchOn(sleeper)
    stage.pass(20_000)
    expect(leaderOf(stage)).toBe(leader)
    expect(planIn(sleeper).index).toBe(planIn(leader).index)
    expect(sleeper.state.blocked?.code).toBe('node.removed')
  })

  test('lose their leader by its own hand-over when it is to go', async () => {
    const stage = await threeAndTwo()
    const leader = leaderOf(stage)
    expect(givenTo(stage, { verb: 'demote', node: leader.id }).ok).toBe(true)
    stage.until(() => sent(leader, 'resign').length > 0)
    stage.until(() => isFormed(stage) && roleOf(stage, leader) === 'agent')
    expect(leaderOf(stage)).not.toBe(leader)
    expect(planIn(leaderOf(stage)).plan.secrets.map(({ node }) => node)).not.toContain(leader.id)
  })
})
