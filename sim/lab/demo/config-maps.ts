/** Keys and values as config maps of the default namespace, through the API of the servers that are named. */
import { join } from 'node:path'
import { z } from 'zod'
import type { Host } from '../host.ts'
import type { KeyValue } from '../key-value.ts'

const CLIENT = join(import.meta.dirname, '../k3s/kube-client.ts')
const PATH = '/api/v1/namespaces/default/configmaps'

const Reply = z.object({ status: z.number(), text: z.string() })
const ConfigMap = z.object({ data: z.object({ value: z.string() }) })

export const configMaps: KeyValue = {
  put: async (host, addresses, key, value) => {
    const body = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: nameOf(key) }, data: { value } }
    const made = await ask(host, addresses, ['POST', PATH, JSON.stringify(body)])
    if (made.status === 201) return
    const path = `${PATH}/${nameOf(key)}`
    const changed =
      made.status === 409
        ? await ask(host, addresses, ['PATCH', path, JSON.stringify({ data: { value } })])
        : made
    if (changed.status !== 200) throw new Error(`the API answers ${changed.status}: ${changed.text}`)
  },
  get: async (host, addresses, key) => {
    const { status, text } = await ask(host, addresses, ['GET', `${PATH}/${nameOf(key)}`])
    if (status !== 200) throw new Error(`the API answers ${status}: ${text}`)
    return ConfigMap.parse(JSON.parse(text)).data.value
  },
}

const nameOf = (key: string): string => key.replaceAll('/', '-')

/** By the client on that host, with the administrator's kubeconfig that k3s left there. */
async function ask(
  host: Host,
  [address = '127.0.0.1']: readonly string[],
  request: readonly string[],
): Promise<z.infer<typeof Reply>> {
  const argv = ['env', `K3S_SERVERS=https://${address}:6443`, process.execPath, CLIENT, 'call', ...request]
  const { stdout, stderr, exitCode } = await host.exec(argv, { timeoutMs: 10_000 })
  if (exitCode !== 0) throw new Error(`${host.name}: ${stderr.trim().split('\n').at(-1)}`)
  return Reply.parse(JSON.parse(stdout))
}
