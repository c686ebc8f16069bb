import { appendFileSync, closeSync, mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EtcdLog, explain } from '../../../src/host/distribution/etcd-log.ts'

const said = (level: string, msg: string, error?: string): string =>
  `${JSON.stringify({ level, ts: '2026-11-25T00:00:00Z', caller: 'x.go:1', msg, error })}\n`

describe('why etcd ended', () => {
  it.each([
    [
      'port-taken',
      said('fatal', 'discovery failed', 'listen tcp 10.86.0.1:2380: bind: address already in use'),
    ],
    [
      'address-missing',
      said('error', 'x', 'listen tcp 10.86.0.1:2380: bind: cannot assign requested address'),
    ],
    ['no-space', said('fatal', 'failed to create WAL', 'write 0.tmp: no space left on device')],
    ['no-space', said('fatal', 'failed to save', 'write 0.tmp: disk quota exceeded')],
    ['removed', said('warn', 'server error', 'the member has been permanently removed from the cluster')],
  ])('is %s where it says so', (cause, output) => {
    expect(explain(said('warn', 'before') + output + said('info', 'closing etcd server')).cause).toBe(cause)
  })

  it('is its gravest word where nothing is known, not the last one, nor a stack trace', () => {
    const output = `${said('panic', 'failed to open wal', 'file is corrupt')}goroutine 1 [running]:\nmain.go:3\n`
    expect(explain(output)).toEqual({ cause: 'other', text: 'failed to open wal: file is corrupt' })
    expect(explain('panic: runtime error\n\ngoroutine 1:\n').text).toBe('panic: runtime error')
    expect(explain('').text).toBe('nothing')
  })

  it('is not told by what another member says of itself', () => {
    const output = said(
      'warn',
      'lost the TCP streaming connection',
      'the member has been permanently removed',
    )
    expect(explain(output).cause).toBe('other')
  })

  it('is one bounded line, whatever it was', () => {
    const { text } = explain(said('fatal', 'x'.repeat(5_000)))
    expect(text).toHaveLength(300)
    expect(explain('{ no JSON\n'.repeat(3)).text).toBe('nothing')
  })
})

describe('the file of what etcd says', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'muster-etcd-log-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('stays small while etcd holds it open, and the part before is kept', () => {
    const log = new EtcdLog(directory)
    const file = log.open()
    writeSync(file, 'old '.repeat(100))
    log.rotate(1_000)
    expect(log.size()).toBe(400)
    log.rotate(100)
    expect(log.size()).toBe(0)
    writeSync(file, 'new')
    closeSync(file)
    expect(readFileSync(log.path, 'utf8')).toBe('new')
    expect(readFileSync(`${log.path}.1`, 'utf8')).toBe('old '.repeat(100))
  })

  it('is read from where the process began, or from its start where it was emptied since', () => {
    const log = new EtcdLog(directory)
    expect(log.lastWords(0).text).toBe('nothing')
    appendFileSync(log.path, said('fatal', 'the run before'))
    const offset = log.size()
    expect(log.lastWords(offset).text).toBe('nothing')
    appendFileSync(log.path, said('fatal', 'this run'))
    expect(log.lastWords(offset).text).toBe('this run')
    log.rotate(1)
    appendFileSync(log.path, said('fatal', 'after'))
    expect(log.lastWords(offset + 10_000).text).toBe('after')
  })
})
