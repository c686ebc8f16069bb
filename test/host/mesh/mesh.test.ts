import { describe } from 'vitest'
import { meshContract } from './contract.ts'

describe.concurrent('the WireGuard mesh', { timeout: 120_000 }, meshContract)
