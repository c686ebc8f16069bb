import { afterAll, describe, vi } from 'vitest'
import { formationContract, machineContract } from './contract.ts'
import { Lab, type Member } from './lab.ts'

/** The product's patience, much of a minute in each test that needs it, is shortened; its order stays. */
vi.mock('../../../src/host/distribution/timing.ts', async (original) => ({
  ...(await original<object>()),
  PATIENCE_MS: 500,
  LEADER_PATIENCE_MS: 4_000,
  EVICT_AFTER_MS: 2_000,
  END_GRACE_MS: 2_000,
  POLL_HEALTHY_MS: 1_000,
  POLL_BLOCKED_MS: 500,
}))

describe('members of one datastore', { timeout: 120_000 }, formationContract)

describe.concurrent('one machine:', { timeout: 120_000 }, () => {
  const lab = new Lab()
  let machines = 0
  afterAll(() => lab.close())
  machineContract((): { lab: Lab; node: Member } => {
    machines += 1
    return { lab, node: lab.member(machines, `machine-${machines}`) }
  })
})
