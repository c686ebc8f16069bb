/** `k3s agent`: start → connected (the token is good for the authority) → configured → node-registered. */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { baked, scaled } from './baked.ts'
import { askAs, authorityAt } from './introduction.ts'
import { Kubelet } from './kubelet.ts'
import { LoadBalancer } from './load-balancer.ts'
import { Fatal, log, wordsOf } from './log.ts'
import { checkFlannel, type NodeSettings } from './settings.ts'
import { Stages } from './stages.ts'
import { parseToken } from './token.ts'

export async function runAgent(settings: NodeSettings): Promise<void> {
  const stages = new Stages(settings.dataDirectory)
  if (settings.token === '') throw new Fatal('--token is required')
  if (settings.server === '') throw new Fatal('--server is required')
  log('info', `Starting k3s agent ${baked.version} (${baked.commit})`)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
  await stages.pass('start')
  const balancer = new LoadBalancer(settings.dataDirectory, settings.server)
  await balancer.listen(settings.loadBalancerPort)
  const url = `https://127.0.0.1:${settings.loadBalancerPort}`
  const token = parseToken(settings.token)
  const { password } = token

  const ca = await again(
    2_000,
    (error) => `Failed to validate connection to cluster at ${settings.server}: ${error}`,
    () => authorityAt(url, token),
  )
  await stages.pass('connected')
  const waiting = (error: string): string =>
    `Waiting to retrieve agent configuration; server is not ready: ${error}`
  const config = await again(5_000, waiting, async () =>
    Config.parse(JSON.parse((await askAs('node', url, '/v1-k3s/config', ca, password)).text)),
  )
  checkFlannel(settings, config.FlannelBackend)
  await stages.pass('configured')
  const follow = (): void => {
    askAs('node', url, '/v1-k3s/apiservers', ca, password)
      .then(({ text }) => balancer.update(z.array(z.string()).parse(JSON.parse(text))))
      .catch((error: unknown) =>
        log('info', `Failed to retrieve list of apiservers from server: ${wordsOf(error)}`),
      )
      .finally(() => setTimeout(follow, scaled(5_000)))
  }
  follow()

  const kubelet = new Kubelet(settings, { url, ca, password })
  await kubelet.enrol()
  await kubelet.register()
  log('info', 'k3s agent is up and running')
  await stages.pass('node-registered')
  kubelet.beat()
}

const Config = z.object({ FlannelBackend: z.string() })

async function again<T>(
  everyMs: number,
  words: (error: string) => string,
  attempt: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (error instanceof Fatal) throw error
      log('error', words(wordsOf(error)))
      await sleep(scaled(everyMs))
    }
  }
}
