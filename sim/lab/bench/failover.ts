/** From kill -9 of the leader to another that every survivor follows. */
import { commonLeader, isReady, leaderHost, type View } from '../view.ts'
import type { Figure } from './figure.ts'
import { type Bench, startAll, untilReady, withLab } from './setting.ts'

/** The median of fewer says nothing: a vote may be split. */
const RUNS_MIN = 5

export async function failover(bench: Bench): Promise<Figure[]> {
  const killed: number[] = []
  const powerless: number[] = []
  const runs = Math.max(RUNS_MIN, bench.runs)
  await withLab(bench, 3, 'none', async (setting) => {
    const { lab, watch } = setting
    await startAll(setting)
    await untilReady(setting)
    for (let run = 1; run <= 2 * runs; run++) {
      const isPowerCut = run > runs
      bench.say(`leader ${isPowerCut ? 'without power' : 'killed'}, run ${((run - 1) % runs) + 1} of ${runs}`)
      const leader = lab.hosts.find((host) => host.index === leaderHost(watch.view))
      const id = leader === undefined ? null : (watch.view.get(leader.index)?.self.id ?? null)
      if (leader === undefined || id === null) throw new Error('there is no leader to kill')
      const survivors = (view: View): View => new Map([...view].filter(([index]) => index !== leader.index))
      const at = performance.now()
      await (isPowerCut ? lab.powerOff(leader) : leader.kill9())
      await watch.until(
        'another leader',
        (view) => {
          const now = commonLeader(survivors(view))
          return now !== null && now !== id
        },
        60_000,
      )
      const samples = isPowerCut ? powerless : killed
      samples.push((performance.now() - at) / 1_000)
      if (isPowerCut) await lab.powerOn(leader)
      await leader.startDaemon()
      await watch.until('everyone ready again', (view) => isReady(view, lab.hosts.length), 60_000)
    }
  })
  return [
    {
      name: 'leader killed to a new leader',
      unit: 's',
      samples: killed,
      target: { bound: 'below', value: 3 },
    },
    {
      name: 'leader without power to a new leader',
      unit: 's',
      samples: powerless,
      // Noticed by silence only, which elections bear for 2.5 to 4 s.
      target: null,
    },
  ]
}
