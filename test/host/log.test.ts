import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { createLog, type LogEvent, type LogOptions, logOptions } from '../../src/host/log.ts'

function logged(options: Partial<LogOptions>, write: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = []
  write(createLog({ format: 'json', level: 'info', ...options }, (line) => lines.push(line)))
  return lines
}

const TOKEN = 'muster1EbQp7QFLnTdx3nKb3RtXq8UzVqvY2JHcW9sNkTfa5dMgRrPZe'

describe('a log line', () => {
  it('is one JSON document with time, level, event and fields', () => {
    const [line] = logged({}, (log) =>
      log.write('info', 'plan.committed', { index: 3, by: 'rack-1', ok: true }),
    )
    expect(line?.endsWith('\n')).toBe(true)
    const { at, ...rest } = JSON.parse(line ?? '')
    expect(Date.parse(at)).toBeGreaterThan(0)
    expect(rest).toEqual({ level: 'info', event: 'plan.committed', index: 3, by: 'rack-1', ok: true })
  })

  it('is one readable line for people', () => {
    const [line] = logged({ format: 'text' }, (log) =>
      log.write('warn', 'store.failed', { message: 'no space left', tries: 2 }),
    )
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}store\.failed message="no space left" tries=2\n$/)
  })

  it('is one line, whatever a peer chose to be called', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        for (const format of ['json', 'text'] as const) {
          const [line = '', ...more] = logged({ format }, (log) => log.write('info', 'peer.seen', { name }))
          expect(more).toEqual([])
          expect(line.slice(0, -1)).not.toMatch(/\p{Cc}/u)
        }
      }),
    )
  })

  it('is left out below the level', () => {
    expect(logged({ level: 'warn' }, (log) => log.write('info', 'small.talk'))).toEqual([])
    expect(logged({ level: 'debug' }, (log) => log.write('debug', 'small.talk'))).toHaveLength(1)
  })
})

describe('a secret in the log', () => {
  const PEM =
    '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49\n-----END'
  const SWARM =
    '/key/swarm/psk/1.0.0/\n/base16/\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'

  it('is struck out by its type, by its name and by its shape', () => {
    for (const format of ['json', 'text'] as const) {
      const events: LogEvent[] = []
      const lines = logged({ format }, (log) => {
        log.subscribe((event) => events.push(event))
        log.write('error', 'config.bad', {
          wrapped: new Secret('wrapped-value'),
          agentToken: 'named-value',
          privateKey: 'named-value',
          message: `the line "token: ${TOKEN}" is wrong`,
          text: SWARM,
          file: PEM,
          kind: 'etcd',
        })
      })
      const said = lines.join('') + JSON.stringify(events)
      for (const secret of [
        'wrapped-value',
        'named-value',
        TOKEN,
        TOKEN.slice(0, 30),
        '0123456789abcdef',
        'MHcCAQ',
      ]) {
        expect(said).not.toContain(secret)
      }
      expect(said).toContain('[secret]')
      expect(said).toContain('etcd')
    }
  })
})

describe('subscribers', () => {
  it('get what is written until they leave', () => {
    const seen: string[] = []
    logged({}, (log) => {
      const leave = log.subscribe((event) => seen.push(event.event))
      log.write('info', 'first')
      log.write('debug', 'unheard')
      leave()
      log.write('info', 'second')
    })
    expect(seen).toEqual(['first'])
  })
})

describe('MUSTER_LOG', () => {
  it('is words; what is not said follows from where stderr goes', () => {
    expect(logOptions(undefined, true)).toEqual({ format: 'text', level: 'info' })
    expect(logOptions(undefined, false)).toEqual({ format: 'json', level: 'info' })
    expect(logOptions('json', true)).toEqual({ format: 'json', level: 'info' })
    expect(logOptions('text, DEBUG', false)).toEqual({ format: 'text', level: 'debug' })
    expect(logOptions('loud', true)).toEqual({ format: 'text', level: 'info' })
  })
})
