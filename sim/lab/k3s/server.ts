/**
 * `k3s server`: a start passes its stages in order.
 *
 *     start → bootstrapped (authorities are there) → listening (/ping, /cacerts) → member-added → etcd-started
 *           → voter → api-ready → node-registered
 */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Authorities,
  authorityOf,
  bootstrapKey,
  decryptAuthorities,
  makeAuthorities,
  saveAuthorities,
  savedAuthorities,
  writePrivately,
} from './authorities.ts'
import { baked, minorOf, scaled } from './baked.ts'
import { type ClusterState, saveBootstrap } from './cluster-state.ts'
import { Controllers } from './controllers.ts'
import { EtcdClient } from './etcd-client.ts'
import { askAs, authorityAt } from './introduction.ts'
import { serveKubernetes } from './kube-api.ts'
import { Kubelet } from './kubelet.ts'
import { Fatal, log, wordsOf } from './log.ts'
import { EtcdMember, heedTombstone, type Introduction, isInitialised, resetFlag } from './member.ts'
import { Objects } from './objects.ts'
import { type Pair, sign } from './pki.ts'
import { checkFlannel, type ServerSettings } from './settings.ts'
import { Stages } from './stages.ts'
import { failed, supervise } from './supervisor-api.ts'
import { fullToken, parseToken } from './token.ts'

export async function runServer(settings: ServerSettings): Promise<void> {
  const stages = new Stages(settings.dataDirectory)
  log('info', `Starting k3s ${baked.version} (${baked.commit})`)
  mkdirSync(settings.directory, { recursive: true, mode: 0o700 })
  await stages.pass('start')
  checkVersion(settings)
  heedTombstone(settings)
  const { authorities, password, introduction } = await prepared(settings)
  saveAuthorities(settings.directory, authorities)
  const etcdClient = await writeCertificates(settings, authorities)
  await stages.pass('bootstrapped')

  const state = assemble(settings, stages, authorities, password, etcdClient)
  if (settings.clusterReset) {
    if (state.member === null) throw new Fatal('cluster-reset is only for embedded etcd')
    await state.member.reset()
    process.exit(0)
  }
  rmSync(resetFlag(settings), { force: true })
  await listen(state)
  await writeKubeconfig(settings, authorities)
  await stages.pass('listening')
  checkFlannel(settings, settings.critical.FlannelBackend ?? '')

  endOnSignals(state)
  if (state.member !== null) {
    await sleep(scaled(2_000))
    await state.member.start(introduction)
  }
  await stages.pass('etcd-started')
  await untilVoter(state)
  await checkToken(state)
  await saveBootstrap(state)
  await stages.pass('voter')
  await sleep(scaled(3_000))
  state.isApiUp = true
  new Controllers(state).start()
  await stages.pass('api-ready')
  log('info', 'k3s is up and running')
  if (settings.disableAgent) return

  const { crt } = authorityOf(authorities, 'server-ca')
  const kubelet = new Kubelet(settings, {
    url: `https://127.0.0.1:${settings.port}`,
    ca: crt,
    password: state.passwords.node,
  })
  await kubelet.enrol()
  await kubelet.register()
  await stages.pass('node-registered')
  kubelet.beat()
}

interface Prepared {
  readonly authorities: Authorities
  readonly password: string
  /** Null unless this start joins. */
  readonly introduction: Introduction | null
}

/** Where the authorities come from: the disk, another server, the datastore, or nowhere yet. */
async function prepared(settings: ServerSettings): Promise<Prepared> {
  const { directory, datastore, server } = settings
  const saved = savedAuthorities(directory)
  const token = settings.token || savedToken(directory)
  try {
    if (isInitialised(settings)) {
      log('info', 'Managed etcd cluster bootstrap already complete and initialized')
      if (saved === null) throw new Error('tls directory is missing from the data directory')
      return { authorities: saved, password: parseToken(token).password, introduction: null }
    }
    // With a server to join, cluster-init says nothing.
    if (datastore.endpoint === '' && server !== '') return await joining(settings)
    const password = token === '' ? crypto.randomUUID().replaceAll('-', '') : parseToken(token).password
    if (datastore.endpoint !== '') {
      const kept = await externalClient(settings).get(bootstrapKey(password))
      if (kept !== null)
        return { authorities: decryptAuthorities(password, kept.value), password, introduction: null }
    }
    if (settings.clusterInit) log('info', 'Managed etcd cluster initializing')
    return { authorities: saved ?? (await makeAuthorities()), password, introduction: null }
  } catch (error) {
    throw new Fatal(`starting kubernetes: preparing server: ${wordsOf(error)}`)
  }
}

async function joining(settings: ServerSettings): Promise<Prepared> {
  if (settings.token === '') throw new Error('K3S_TOKEN is required to join a cluster')
  const token = parseToken(settings.token)
  const url = settings.server.replace(/\/+$/, '')
  const ca = await authorityAt(url, token)
  log('info', 'Managed etcd cluster not yet initialized')
  const theirs = JSON.parse(
    (await askAs('server', url, '/v1-k3s/config', ca, token.password)).text,
  ) as Readonly<Record<string, unknown>>
  const different = Object.entries(settings.critical).filter(([name, value]) => theirs[name] !== value)
  if (different.length > 0) {
    const names = different.map(([name]) => name).join(' ')
    throw new Error(
      `failed to validate server configuration: critical configuration value mismatch between servers: [${names}]`,
    )
  }
  const authorities = JSON.parse(
    (await askAs('server', url, '/v1-k3s/server-bootstrap', ca, token.password)).text,
  ) as Authorities
  return { authorities, password: token.password, introduction: { url, ca, password: token.password } }
}

function savedToken(directory: string): string {
  const file = join(directory, 'token')
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
}

/** A datastore that a later minor has had is not given to an earlier one, and no minor is left out. */
function checkVersion(settings: ServerSettings): void {
  const file = join(settings.directory, 'double-version')
  const last = existsSync(file) ? minorOf(readFileSync(file, 'utf8')) : null
  const now = minorOf(baked.version)
  if (last !== null && settings.restorePath === '') {
    if (now < last) throw new Fatal(`double: these data were served by a later minor than ${baked.version}`)
    if (now > last + 1)
      throw new Fatal(`double: ${baked.version} leaves out a minor after what had these data`)
  }
  writeFileSync(file, baked.version)
}

/** @returns the certificate with which etcd is asked */
async function writeCertificates(settings: ServerSettings, authorities: Authorities): Promise<Pair> {
  const hosts = settings.subjects
  const etcd = authorityOf(authorities, 'etcd/server-ca')
  const peer = authorityOf(authorities, 'etcd/peer-ca')
  const both = ['server', 'client'] as const
  const certificates = {
    'etcd/client': await sign(etcd, { commonName: 'etcd-client', uses: ['client'] }),
    'etcd/server-client': await sign(etcd, { commonName: 'etcd-server', hosts, uses: both }),
    'etcd/peer-server-client': await sign(peer, { commonName: 'etcd-peer', hosts, uses: both }),
    'serving-kube-apiserver': await sign(authorityOf(authorities, 'server-ca'), {
      commonName: 'kube-apiserver',
      hosts,
      uses: ['server'],
    }),
    'client-admin': await sign(authorityOf(authorities, 'client-ca'), {
      commonName: 'system:admin',
      organization: 'system:masters',
      uses: ['client'],
    }),
  }
  for (const [name, { crt, key }] of Object.entries(certificates)) {
    writePrivately(join(settings.directory, `tls/${name}.crt`), crt)
    writePrivately(join(settings.directory, `tls/${name}.key`), key)
  }
  return certificates['etcd/client']
}

function assemble(
  settings: ServerSettings,
  stages: Stages,
  authorities: Authorities,
  password: string,
  etcdClient: Pair,
): ClusterState {
  const { directory, datastore } = settings
  const { crt } = authorityOf(authorities, 'server-ca')
  writePrivately(join(directory, 'token'), `${fullToken(crt, 'server', password)}\n`)
  rmSync(join(directory, 'node-token'), { force: true })
  symlinkSync(join(directory, 'token'), join(directory, 'node-token'))
  const node = settings.agentToken === '' ? password : parseToken(settings.agentToken).password
  writePrivately(join(directory, 'agent-token'), `${fullToken(crt, 'node', node)}\n`)
  const isExternal = datastore.endpoint !== ''
  const member = isExternal
    ? null
    : new EtcdMember(settings, stages, authorityOf(authorities, 'etcd/server-ca').crt, etcdClient)
  const etcd = member?.client ?? externalClient(settings)
  return {
    settings,
    stages,
    authorities,
    passwords: { server: password, node },
    member,
    etcd,
    objects: new Objects(etcd),
    isApiUp: false,
  }
}

function externalClient({ datastore }: ServerSettings): EtcdClient {
  const read = (file: string): string => (file === '' ? '' : readFileSync(file, 'utf8'))
  const endpoints = datastore.endpoint.split(',')
  return new EtcdClient(endpoints, read(datastore.ca), {
    crt: read(datastore.cert),
    key: read(datastore.key),
  })
}

async function listen(state: ClusterState): Promise<void> {
  const { settings, authorities, stages } = state
  const serving = join(settings.directory, 'tls/serving-kube-apiserver')
  const options = {
    cert: readFileSync(`${serving}.crt`),
    key: readFileSync(`${serving}.key`),
    ca: authorityOf(authorities, 'client-ca').crt,
    requestCert: true,
    rejectUnauthorized: false,
  }
  const server = createServer(options, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      const path = new URL(request.url ?? '/', 'https://server').pathname
      const body = Buffer.concat(chunks).toString('utf8')
      const { slowMs } = stages.orders.api
      if (slowMs > 0) await sleep(slowMs)
      const answer = await supervise(state, request, path, body)
        .then((own) => own ?? serveKubernetes(state, request, path, body))
        .catch((error: unknown) => failed(500, 'InternalError', wordsOf(error)))
      response.writeHead(answer.status, { 'content-type': answer.type ?? 'application/json' })
      response.end(answer.body)
    })
  })
  const host = settings.bindAddress === '' ? '0.0.0.0' : settings.bindAddress
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new Fatal(cannotListen(settings, error))))
    server.listen(settings.port, host, resolve)
  })
}

function cannotListen({ bindAddress, port }: ServerSettings, error: Error): string {
  const why =
    'code' in error && error.code === 'EADDRINUSE'
      ? 'address already in use'
      : 'cannot assign requested address'
  return `starting kubernetes: preparing server: init cluster datastore and https: listen tcp ${bindAddress}:${port}: bind: ${why}`
}

async function writeKubeconfig(settings: ServerSettings, authorities: Authorities): Promise<void> {
  const { kubeconfig, kubeconfigMode, directory, port } = settings
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const read = (name: string): string => base64(readFileSync(join(directory, 'tls', name), 'utf8'))
  const text = [
    'apiVersion: v1',
    'clusters:',
    '- cluster:',
    `    certificate-authority-data: ${base64(authorityOf(authorities, 'server-ca').crt)}`,
    `    server: https://127.0.0.1:${port}`,
    '  name: default',
    'contexts:',
    '- context:',
    '    cluster: default',
    '    user: default',
    '  name: default',
    'current-context: default',
    'kind: Config',
    'users:',
    '- name: default',
    '  user:',
    `    client-certificate-data: ${read('client-admin.crt')}`,
    `    client-key-data: ${read('client-admin.key')}`,
    '',
  ].join('\n')
  mkdirSync(dirname(kubeconfig), { recursive: true })
  rmSync(kubeconfig, { force: true })
  writeFileSync(kubeconfig, text, { mode: kubeconfigMode })
  writePrivately(join(directory, 'cred/admin.kubeconfig'), text)
  log('info', `Wrote kubeconfig ${kubeconfig}`)
}

async function untilVoter({ member, etcd }: ClusterState): Promise<void> {
  for (;;) {
    try {
      if (member === null) await etcd.get('/registry/health')
      else await member.test()
      log('info', 'etcd data store connection OK')
      return
    } catch (error) {
      log('info', `Failed to test data store connection: ${wordsOf(error)}`)
    }
    await sleep(scaled(5_000))
  }
}

async function checkToken({ etcd, passwords }: ClusterState): Promise<void> {
  const kept = await etcd.list('/bootstrap/')
  if (kept.length === 0 || kept.some(({ key }) => key === bootstrapKey(passwords.server))) return
  throw new Fatal(
    'starting kubernetes: preparing server: failed to reconcile with temporary etcd: bootstrap data already found and encrypted with different token',
  )
}

function endOnSignals({ member }: ClusterState): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log('info', `Shutdown request received: received signal ${signal}`)
      void (member?.end() ?? Promise.resolve()).then(() => process.exit(0))
    })
  }
}
