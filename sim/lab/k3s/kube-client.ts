/**
 * A client of the Kubernetes API that runs on a server of a lab, with the administrator's kubeconfig:
 *
 *     node kube-client.ts call METHOD PATH [BODY]     prints status and body, as one JSON document
 *     node kube-client.ts write PREFIX                writes config maps one after the other until it is ended, and
 *                                                     prints the number of each that was acknowledged
 *
 * The writer asks the next of K3S_SERVERS (`https://…`, with commas) where one does not answer, as behind a load
 * balancer. What was acknowledged must be there afterwards, whatever happened meanwhile.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { call, type Reply } from './https-client.ts'

const Kubeconfig = z.object({
  clusters: z.tuple([
    z.looseObject({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.base64() }) }),
  ]),
  users: z.tuple([
    z.looseObject({
      user: z.object({ 'client-certificate-data': z.base64(), 'client-key-data': z.base64() }),
    }),
  ]),
})

const { KUBECONFIG = '/etc/rancher/k3s/k3s.yaml', K3S_SERVERS = '' } = process.env
const { clusters, users } = Kubeconfig.parse(parse(readFileSync(KUBECONFIG, 'utf8')))
const plain = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')
const [{ cluster }] = clusters
const [{ user }] = users
const servers = K3S_SERVERS === '' ? [cluster.server] : K3S_SERVERS.split(',')

function ask(server: string, method: string, path: string, body?: string): Promise<Reply> {
  return call(`${server}${path}`, {
    method,
    ca: plain(cluster['certificate-authority-data']),
    cert: { crt: plain(user['client-certificate-data']), key: plain(user['client-key-data']) },
    headers: { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' },
    ...(body === undefined ? {} : { body }),
    timeoutMs: 5_000,
  })
}

async function write(prefix: string): Promise<void> {
  const path = '/api/v1/namespaces/default/configmaps'
  for (let number = 1, at = 0; ; ) {
    const name = `${prefix}-${number}`
    const body = JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name }, data: { name } })
    const status = await ask(servers[at % servers.length] ?? '', 'POST', path, body).then(
      (reply) => reply.status,
      () => 0,
    )
    // That it is there already is the acknowledgement of an attempt whose answer was lost.
    if (status === 201 || status === 409) process.stdout.write(`${number++}\n`)
    else at += 1
    await sleep(20)
  }
}

const [, , verb = '', first = '', second = '', third] = process.argv
if (verb === 'write') await write(first)
else process.stdout.write(JSON.stringify(await ask(servers[0] ?? '', first, second, third)))
