/** `k3s kubectl get --raw PATH`: with the kubeconfig of --kubeconfig, of KUBECONFIG, or the server's own. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { call } from './https-client.ts'
import { KUBECONFIG } from './settings.ts'

const Config = z.object({
  clusters: z.tuple([
    z.looseObject({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.base64() }) }),
  ]),
  users: z.tuple([
    z.looseObject({
      user: z.object({ 'client-certificate-data': z.base64(), 'client-key-data': z.base64() }),
    }),
  ]),
})

const Status = z.object({ reason: z.string(), message: z.string() })

/** @returns the exit code */
export async function runKubectl(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const words: string[] = []
  let file = env.KUBECONFIG !== undefined && env.KUBECONFIG !== '' ? env.KUBECONFIG : KUBECONFIG
  let path: string | null = null
  const left = [...args]
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    const [, name, inline] = /^--(raw|kubeconfig)(?:=(.*))?$/.exec(word) ?? []
    if (name === 'raw') path = inline ?? left.shift() ?? ''
    else if (name === 'kubeconfig') file = inline ?? left.shift() ?? ''
    else words.push(word)
  }
  if (words.join(' ') !== 'get' || path === null)
    return fail(`error: the double knows "get --raw" only, not: ${args.join(' ')}`)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return fail(`error: stat ${file}: no such file or directory`)
  }
  const { clusters, users } = Config.parse(parse(text))
  const plain = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')
  const [{ cluster }] = clusters
  const [{ user }] = users
  const cert = { crt: plain(user['client-certificate-data']), key: plain(user['client-key-data']) }
  try {
    const reply = await call(`${cluster.server}${path}`, {
      ca: plain(cluster['certificate-authority-data']),
      cert,
    })
    if (reply.status >= 200 && reply.status < 300) {
      process.stdout.write(reply.text)
      return 0
    }
    return fail(`Error from server (${reasonOf(reply.text)}`)
  } catch {
    const { host } = new URL(cluster.server)
    return fail(`The connection to the server ${host} was refused - did you specify the right host or port?`)
  }
}

function reasonOf(text: string): string {
  try {
    const { reason, message } = Status.parse(JSON.parse(text))
    return `${reason}): ${message}`
  } catch {
    return `InternalError): an error on the server ("${text.trim()}") has prevented the request from succeeding`
  }
}

function fail(words: string): number {
  process.stderr.write(`${words}\n`)
  return 1
}
