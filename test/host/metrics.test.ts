import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/host/metrics.ts'
import { formingStatus, readyStatus } from './api/fixtures.ts'

describe('counters', () => {
  it('come to be when something is first counted, with labels or without', async () => {
    const metrics = createMetrics()
    metrics.count('message.refused')
    metrics.count('message.refused', { what: 'frame' })
    metrics.count('message.refused', { what: 'frame' })
    metrics.count('message.refused', { what: 'frame', from: 'a' })
    const text = await metrics.text(null)
    expect(text).toContain('# TYPE muster_message_refused_total counter')
    expect(text).toContain('muster_message_refused_total 1\n')
    expect(text).toContain('muster_message_refused_total{what="frame"} 2\n')
    expect(metrics.value('message.refused', { what: 'frame' })).toBe(2)
    expect(metrics.value('message.refused', { what: 'nothing' })).toBe(0)
  })

  it('stay bounded, however many labels somebody invents', async () => {
    const metrics = createMetrics()
    for (let n = 0; n < 10_000; n++) metrics.count('invented', { peer: `peer-${n}` })
    for (let n = 0; n < 10_000; n++) metrics.count(`invented.${n}`)
    const text = await metrics.text(null)
    expect(text.match(/^muster_invented_total\{/gm)?.length).toBe(65)
    expect(text).toContain('muster_invented_total{peer="other"} 9936\n')
    expect(text).toContain('muster_other_total 9489\n')
  })

  it('of names that read the same are not an error', async () => {
    const metrics = createMetrics()
    metrics.count('a.b')
    metrics.count('a-b')
    expect(await metrics.text(null)).toContain('muster_a_b_total 1\n')
  })
})

describe('gauges', () => {
  it('say what the status says', async () => {
    const metrics = createMetrics()
    const ready = await metrics.text(readyStatus())
    expect(ready).toContain('muster_ready 1\n')
    expect(ready).toContain('muster_leader 0\n')
    expect(ready).toContain('muster_plan_index 14\n')
    expect(ready).toContain('muster_nodes{role="server",alive="true"} 3\n')
    expect(ready).toContain('muster_nodes{role="agent",alive="true"} 1\n')
    expect(ready).toContain('muster_problems{severity="error"} 0\n')
    expect(ready).toMatch(/process_resident_memory_bytes \d{7,}/)
    const forming = await metrics.text(formingStatus())
    expect(forming).toContain('muster_ready 0\n')
    expect(forming).toContain('muster_waiting_for 1\n')
    expect(forming).not.toContain('muster_plan_index')
  })
})
