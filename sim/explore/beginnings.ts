/** What the models begin with. */
import type { Durable } from '../../src/core/state.ts'
import type { Keys } from '../crypto.ts'
import { createCores, recordIn, settingsOf, startCore } from './cores.ts'
import { foundingModel } from './founding.ts'
import type { Bounds, Letter, Model } from './model.ts'
import { replicationModel } from './replication.ts'

/** Disks of machines that have just founded, by the core itself: the first stands, and all hear everything. */
function foundedDisks(model: Model, keys: readonly Keys[]): Durable[] {
  const cores = createCores(model, keys)
  const now = [...cores.first]
  const sent = [...cores.firstLetters]
  const [first] = now
  const stood = first === undefined ? null : cores.moves(first, 0)
  if (stood === null) throw new Error('the first machine does not stand')
  now[0] = stood.next
  sent.push(...stood.said)
  for (let i = 0; i < sent.length; i++) {
    const letter = sent[i] ?? -1
    const to = cores.letters[letter]?.to ?? -1
    const local = now[to]
    const answer = local === undefined ? null : cores.hears(local, letter)
    if (answer === null) continue
    now[to] = answer.next
    sent.push(...answer.said.filter((said) => !sent.includes(said)))
  }
  return now.map(({ disk }) => disk)
}

/** Three voters, and a fourth machine that wants to join: it has asked each of them. */
export function planModel(keys: readonly Keys[], bounds: Bounds): Model {
  const machines = keys.length - 1
  const founding = foundingModel(machines, machines, { terms: 1, crashes: 0 })
  const disks = foundedDisks(founding, keys)
  const era = disks[0]?.certified?.plan.era
  const outsider = keys[machines]
  if (era === undefined || outsider === undefined) throw new Error('nothing was founded')
  const { state } = startCore(outsider, machines, 0, settingsOf(founding), null)
  const record = recordIn(state)
  const letters = keys.slice(0, machines).map(
    ({ id }, to): Letter => ({
      from: machines,
      sender: outsider.id,
      to,
      receiver: id,
      message: { kind: 'join', era, record },
    }),
  )
  return replicationModel(bounds, founding.cluster, disks, letters)
}
