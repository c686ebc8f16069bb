import { describe, expect, it } from 'vitest'
import { credentialPaths } from '../../../src/host/distribution/credentials.ts'
import { etcdArguments, isSameMember, type MemberPlace } from '../../../src/host/distribution/etcd-flags.ts'

const place: MemberPlace = {
  name: 'node-1',
  address: '10.86.0.1',
  clientPort: 2379,
  peerPort: 2380,
  dataDirectory: '/var/lib/muster/etcd/data/etcd',
  credentials: credentialPaths('/run/muster.run/etcd'),
}
const flags = (more: Partial<MemberPlace> = {}): string[] =>
  etcdArguments(
    { ...place, ...more },
    { state: 'existing', others: ['https://10.86.0.2:2380'], token: 'g.1' },
  )

describe('the command line of etcd', () => {
  it('asks both clients and peers for certificates of the cluster’s own authority, and names files only', () => {
    const given = flags()
    expect(given).toEqual(expect.arrayContaining(['--client-cert-auth', '--peer-client-cert-auth']))
    for (const flag of ['--trusted-ca-file', '--peer-trusted-ca-file']) {
      expect(given).toContain(`${flag}=/run/muster.run/etcd/ca.pem`)
    }
    expect(given.filter((text) => text.includes('http:'))).toEqual([])
  })

  it('serves at the address of the plan and nowhere else', () => {
    const urls = flags().filter((text) => /-urls=/.test(text))
    expect(urls).toHaveLength(4)
    for (const url of urls) expect(url).toMatch(/=https:\/\/10\.86\.0\.1:23(79|80)$/)
    expect(flags({ address: 'fd00::1' })).toContain('--listen-peer-urls=https://[fd00::1]:2380')
  })

  it('lists itself and all others, so that no member can take another cluster for its own', () => {
    expect(flags()).toContain(
      '--initial-cluster=node-1=https://10.86.0.1:2380,member-0=https://10.86.0.2:2380',
    )
    expect(flags()).toContain('--initial-cluster-token=g.1')
  })

  it('makes a process the same member only where name, place, data and keys are the same', () => {
    expect(isSameMember([...flags(), '--experimental-more'], flags())).toBe(true)
    for (const change of [
      { name: 'other' },
      { address: '10.86.0.9' },
      { clientPort: 1 },
      { peerPort: 1 },
      { dataDirectory: '/elsewhere' },
      { credentials: credentialPaths('/elsewhere') },
    ]) {
      expect(isSameMember(flags(), flags(change))).toBe(false)
    }
  })
})
